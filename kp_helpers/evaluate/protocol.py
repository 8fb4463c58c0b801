"""Schofield's protocol: a run draws frames of distinct sequences, learns from some and is tested on others.

Predictions end in pixels of the frame, whatever square of it the model was shown.
"""

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from kp_helpers import embeddings, reading, stages
from kp_helpers.config import AppendedStage, Protocol, TestTime, randomness
from kp_helpers.data import DataError, KeypointSample, ThreeDPW, draw
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import Appended
from kp_helpers.geometry import Square, frame_square
from kp_helpers.stages import ReadoutCache


@dataclass(frozen=True)
class Framed:
    """Samples as a model sees them: images (n, 3, S, S) in [0,1], and the square of its frame that each
    shows.

    inside: of letterboxed frames the part of each square that is not bars, (n, 4) as (x0, y0, x1, y1) in
    [0,1]; bars count in no maximum and no loss. None for other framings, whose whole square counts.
    """

    samples: tuple[KeypointSample, ...]
    squares: tuple[Square, ...]
    images: torch.Tensor
    inside: torch.Tensor | None = None

    def points(self, joint: str) -> torch.Tensor:
        """Where the joint is in each image, (n, 2) as (x, y) in [0,1] of the square."""
        pairs = zip(self.samples, self.squares, strict=True)
        return torch.stack([square.to_square(sample.joints[joint]) for sample, square in pairs]).float()

    def in_frames(self, points: torch.Tensor) -> list[tuple[float, float]]:
        """Points (n, 2) in [0,1] of the squares as (x, y) in pixels of the frames."""
        pairs = zip(self.squares, points.cpu().double(), strict=True)
        return [tuple(square.to_frame(point).tolist()) for square, point in pairs]


@dataclass(frozen=True)
class Found:
    """One predicted point, (x, y) in pixels of the sample's frame, by a method in a run.

    square: the part of the frame that the model was shown, None where it is not known.
    """

    sample: KeypointSample
    joint: str
    point: tuple[float, float]
    method: str
    run: int = 0
    square: Square | None = None

    def prediction(self) -> dict:
        """The fields of `results.Prediction`."""
        visible, true = self.sample.visible[self.joint], self.sample.joints[self.joint]
        fields = {"image": self.sample.name, "keypoint": self.joint, "visible": visible, "run": self.run}
        return {**fields, "predicted": self.point, "true": true if visible else None, "method": self.method}


def data_set(folder: Path, split: str, joints: Sequence[str]) -> ThreeDPW:
    """A split of 3DPW, or of the figures world in its layout; a missing folder names the command that makes
    it.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder; `python -m kp_helpers.figures export {folder}` makes the figures "
            "world there, and real 3DPW is unpacked from its authors' archives"
        )
    return ThreeDPW(folder, split, joints)


def framed(samples: Sequence[KeypointSample], size: int, protocol: Protocol) -> Framed:
    """The samples cut out of their frames as (n, 3, size, size).

    protocol.framing "person" takes the box that the data set gives of the whole person, on test images too,
    and shifts it by protocol.jitter. All images are shifted alike: were training images centred, what is
    learned of the place in the square would mislead on test images, and the mean position be a weak control.
    """
    squares = [_square(sample, protocol) for sample in samples]
    images = [square.crop(sample.image(), size) for square, sample in zip(squares, samples, strict=True)]
    pairs = zip(squares, samples, strict=True)
    inside = None
    if protocol.framing == "letterbox":
        inside = torch.stack([square.inside(sample.frame_size) for square, sample in pairs])
    return Framed(tuple(samples), tuple(squares), torch.stack(images).clamp(0, 1), inside)


def _square(sample: KeypointSample, protocol: Protocol) -> Square:
    """The square of a sample; its shift follows from the seed and the sample's name alone."""
    generator = randomness.generator(protocol.seed, "framing", zlib.crc32(sample.name.encode()))
    shift = protocol.jitter * (2 * torch.rand(2, generator=generator, dtype=torch.float64) - 1)
    box, margin = sample.box, protocol.margin
    return frame_square(sample.frame_size, protocol.framing, box, margin, tuple(shift.tolist()))


def unlabelled(samples: Sequence[KeypointSample], count: int, seed: int) -> list[KeypointSample]:
    """`count` samples at random, all of them where there are fewer; several may share a sequence."""
    order = np.random.default_rng((seed, 2)).permutation(len(samples))
    return [samples[int(index)] for index in order[:count]]


def draw_run(
    train_set: Sequence[KeypointSample],
    test_set: Sequence[KeypointSample],
    joint: str,
    run: int,
    protocol: Protocol,
) -> tuple[list[KeypointSample], list[KeypointSample]]:
    """Training and test samples of a run that show the joint, by seed; a smaller draw begins a larger one.

    Test samples are each from a sequence of its own, and training samples too, as far as
    protocol.frames_per_sequence and the number of sequences let them: further frames of the drawn sequences
    follow, one of each before its next. DataError where they do not suffice.
    """
    seed, showing = (protocol.seed, run), [one for one in train_set if one.visible[joint]]
    sequences = -(-protocol.train_images // protocol.frames_per_sequence)
    count = min(sequences, len({one.sequence for one in showing}))
    train = [showing[i] for i in draw(showing, count, (*seed, 1))]
    further = _further(train, showing, np.random.default_rng((*seed, 3)))
    if len(train + further) < protocol.train_images:
        found = f"{len(train + further)} training frames show {joint} in {count} sequences"
        raise DataError(f"{found}, expected at least {protocol.train_images}")
    used = {one.sequence for one in train}
    test = draw(test_set, protocol.test_images, (*seed, 0), visible=(joint,), without=used)
    return train + further[: protocol.train_images - count], [test_set[i] for i in test]


def _further(
    train: Sequence[KeypointSample], showing: Sequence[KeypointSample], rng: np.random.Generator
) -> list[KeypointSample]:
    """The other frames of the sequences of `train` in random order, one of each sequence before its next."""
    taken, places = {sample.name for sample in train}, Counter(sample.sequence for sample in train)
    ranked = []
    for sample in (showing[i] for i in rng.permutation(len(showing))):
        if sample.name not in taken and sample.sequence in places:
            places[sample.sequence] += 1
            ranked.append((places[sample.sequence], sample))
    return [sample for _, sample in sorted(ranked, key=lambda one: one[0])]


def load_base(path: Path, diffusion: Diffusion) -> torch.Tensor:
    """The base embedding (N, D) that notebook 02 saved, on the model's device."""
    return base_tensors(path, diffusion)["base"].to(diffusion.device)


def base_tensors(path: Path, diffusion: Diffusion) -> dict[str, torch.Tensor]:
    """What notebook 02 saved for this model: base (N, D) and, of its keypoints, selected_tokens (K,)."""
    if not path.is_file():
        command = f"papermill notebooks/02_stable_keypoints.ipynb out.ipynb -p run {path.parent.name}"
        raise FileNotFoundError(
            f"{path}: no base embedding yet; `{command}` makes it with the default model, data and profile, "
            "and `make reproduce` makes everything"
        )
    return embeddings.load(path, fingerprint=diffusion.fingerprint, width=diffusion.context_width)[0]


def appended_name(settings: AppendedStage) -> str:
    """The method's name in tables: with the mode, since "readout" is the kit's own and not the paper's."""
    return f"appended, {settings.mode} mode"


def of_run(settings: AppendedStage, run: int) -> AppendedStage:
    """The settings of one run: its random numbers follow from the seed and the run."""
    return settings.replace(seed=int(np.random.SeedSequence([settings.seed, run]).generate_state(1)[0]))


def learn(
    diffusion: Diffusion,
    base: torch.Tensor,
    train: Framed,
    joint: str,
    settings: AppendedStage,
    run: int,
    cache: Path | ReadoutCache | None = None,
    checkpoint: Path | None = None,
) -> Appended:
    """The appended embedding of one run; its random numbers follow from the seed and the run.

    cache: as for `stages.AppendedTokens`. checkpoint: the folder `root` of `stages.Run`.
    """
    return stages.learn(
        diffusion,
        base,
        train.images,
        train.points(joint),
        of_run(settings, run),
        cache=cache,
        checkpoint=checkpoint,
        inside=train.inside,
    )


def locate(
    diffusion: Diffusion,
    context: torch.Tensor,
    images: torch.Tensor,
    settings: TestTime,
    tokens: Sequence[int] | torch.Tensor,
) -> torch.Tensor:
    """Keypoints (n, T, 2) in [0,1] of some tokens of a context (N, D) on images (n, 3, S, S).

    Image by image, so that memory never holds the maps of more than one; each sees the same noise.
    """
    one_by_one = (reading.read_maps(diffusion, context, image[None], settings, tokens) for image in images)
    return torch.cat([reading.read_keypoints(maps, settings) for maps in one_by_one]).cpu()


def located(test: Framed, points: torch.Tensor, joint: str, method: str, run: int) -> list[Found]:
    """Predicted points (n, 2) in [0,1] of the test images as a method's predictions in their frames."""
    pairs = zip(test.samples, test.in_frames(points), test.squares, strict=True)
    return [Found(sample, joint, point, method, run, square) for sample, point, square in pairs]


def in_squares(found: Sequence[Found], test: Framed) -> dict[str, torch.Tensor]:
    """Method -> its points (n, 2) in [0,1] of the test images, for pictures; found: of one joint and run."""
    squares = {sample.name: square for sample, square in zip(test.samples, test.squares, strict=True)}
    points: dict[str, list[torch.Tensor]] = {}
    for one in found:
        points.setdefault(one.method, []).append(squares[one.sample.name].to_square(one.point))
    return {method: torch.stack(own) for method, own in points.items()}
