"""Keypoints of a folder of pictures with a saved embedding: `python -m kp_helpers.predict --help`."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from tqdm.auto import tqdm

from kp_helpers import diffusion as diffusion_module
from kp_helpers import embeddings, evaluate
from kp_helpers.config import Protocol, Reading, TestTime
from kp_helpers.data import DataError, ImageFolder, KeypointSample
from kp_helpers.data.errors import ImageProblems
from kp_helpers.data.formats import FORMATS, format_for, format_of, write_labels
from kp_helpers.data.sample import Point
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import Appended
from kp_helpers.geometry import FRAMINGS
from kp_helpers.heatmaps import inside_mask
from kp_helpers.keypoints import hit_probability, runner_up
from kp_helpers.reading import read_joints, read_keypoints, read_maps


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except (OSError, ValueError, MemoryError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


@dataclass(frozen=True)
class Located:
    """Keypoints of a picture by their names. points: (x, y) in pixels of the frame. scores:
    `keypoints.hit_probability`, that the point is within a twentieth of the picture. It was fitted for the
    preset "best" on the figures world; for other keypoints and models it ranks pictures, and is no
    probability.
    """

    points: dict[str, Point]
    scores: dict[str, float]


def predict(
    diffusion: Diffusion,
    files: Path | Sequence[Path],
    samples: Sequence[KeypointSample],
    views: int,
    protocol: Protocol,
) -> list[Located]:
    """Of each sample its keypoints.

    files: of notebook 03, each with the one joint that its tokens were appended for, or one of notebook 02,
    with `keypoint_0` and so on. The noise level, layers and map size are those they were learned with. views:
    1 reads the plain picture, more average that many random views of it. protocol: its framing is used.
    """
    reader = opened(diffusion, files, views=views)
    return [reader.locate(sample, protocol) for sample in tqdm(samples, desc="pictures", unit="picture")]


@dataclass(frozen=True)
class Reader:
    """What finds K keypoints on pictures. names: of each; settings: how their maps are read.

    learned: what was appended for each joint, all under one conditioning, so that they share the U-Net's
    passes; or a base (N, D) with `tokens`, the K of it that are keypoints.
    """

    diffusion: Diffusion
    names: list[str]
    settings: TestTime
    learned: Sequence[Appended] | torch.Tensor
    tokens: torch.Tensor | None = None

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """Maps (K, S', S') of a picture (1, 3, S, S) in [0,1]."""
        if isinstance(self.learned, torch.Tensor):
            return read_maps(self.diffusion, self.learned, images, self.settings, self.tokens)[0]
        return read_joints(self.diffusion, self.learned, images, self.settings)[0]

    def locate(self, sample: KeypointSample, protocol: Protocol) -> Located:
        """The keypoints of a sample, seen as the protocol frames it."""
        framed = evaluate.framed([sample], self.diffusion.image_size, protocol)
        maps, (square,) = self.maps(framed.images).cpu(), framed.squares
        inside = square.inside(sample.frame_size)
        found = read_keypoints(maps, self.settings, inside)
        mask = inside_mask(inside, maps.shape[-1])
        sure = hit_probability(runner_up(maps, found, inside=mask)).tolist()
        places = [tuple(square.to_frame(point).tolist()) for point in found.double()]
        return Located(dict(zip(self.names, places, strict=True)), dict(zip(self.names, sure, strict=True)))


def together(readers: Sequence[Reader]) -> Reader:
    """One reader of the joints of several, which reads all of them from one pass of the U-Net."""
    first, names = readers[0], [name for one in readers for name in one.names]
    if len(readers) == 1:
        return first
    if len(set(names)) < len(names):
        raise ValueError(f"keypoints are {', '.join(names)}, expected different names")
    if any(isinstance(one.learned, torch.Tensor) or one.settings != first.settings for one in readers):
        found = ", ".join(names)
        raise ValueError(f"{found}: learned with different settings, expected joints that are read alike")
    return replace(first, names=names, learned=[joint for one in readers for joint in one.learned])


def opened(diffusion: Diffusion, files: Path | Sequence[Path], views: int = 1) -> Reader:
    """The keypoints of saved embeddings. files, views: as for `predict`."""
    several = [files] if isinstance(files, Path) else files
    return together([_opened(diffusion, path, views) for path in several])


def _opened(diffusion: Diffusion, path: Path, views: int) -> Reader:
    width, fingerprint = diffusion.context_width, diffusion.fingerprint
    tensors, about = embeddings.load(path, fingerprint=fingerprint, width=width)
    learned = about["settings"]
    _check_readable(path, tensors, learned)
    read = {name: value for name, value in learned["reading"].items() if name in Reading.model_fields}
    reading = Reading(**{**read, "timestep": about["timestep"], "layers": about["layers"]})
    fit = learned.get("readout") == "linear"
    encode = "once" if views > 1 else "views"  # points move less by it than by other noise (encode_once)
    settings = TestTime(views=views, mirror=fit, encode=encode, reading=reading)  # a fit knows mirror images
    if "appended" in tensors:
        how = {"readout": learned["readout"], "mode": learned["mode"], "best": about.get("best")}
        how["rivals"] = tensors["rivals"] if fit else None
        appended = Appended(tensors["base"], tensors["appended"], **how)
        return Reader(diffusion, [about["joint"]], settings, [appended])
    if "selected_tokens" not in tensors:
        raise embeddings.EmbeddingError(
            f"{path}: holds {', '.join(sorted(tensors))}, expected appended or selected_tokens beside base"
        )
    tokens, base = tensors["selected_tokens"], tensors["base"].to(diffusion.device)
    names = [f"keypoint_{number}" for number in range(len(tokens))]
    return Reader(diffusion, names, settings, base, tokens)


def _check_readable(path: Path, tensors: dict, learned: dict) -> None:
    """An EmbeddingError for a file of an earlier version whose maps would not be those that were learned.

    Its rivals were tokens and took part in a softmax over tokens; that over pixels never had a use for them.
    """
    readout, temperature = learned.get("readout"), learned["reading"].get("temperature", 1)
    found = ""
    if temperature != 1:
        found = f"learned at temperature {temperature:g}, expected 1"
    elif "rivals" in tensors and readout not in ("linear", "spatial"):
        found = f"holds rivals of tokens with readout {readout!r}, expected them for 'linear' alone"
    if found:
        raise embeddings.EmbeddingError(f"{path}: {found}; learn the keypoint again")


def _run(options) -> None:
    like = options.like
    if options.labels and not like and format_of(options.labels).suffix == options.out.suffix.lower():
        like = options.labels
    format_for(options.out, like)  # an OUT that cannot be written is told before the work
    if options.out.exists() and not options.overwrite:
        raise ValueError(f"{options.out} is there already; --overwrite replaces it")
    try:
        samples = ImageFolder(options.images, options.labels, skip_damaged=options.skip_damaged)
    except ImageProblems as error:
        if not error.damaged:
            raise
        raise DataError(f"{error}\n--skip-damaged leaves damaged pictures out and counts them") from None
    diffusion = diffusion_module.load(options.model, options.device, options.dtype)
    protocol = Protocol(framing=options.framing, jitter=0.0)
    found = predict(diffusion, options.embeddings, samples, options.views, protocol)
    points, scores = [one.points for one in found], [one.scores for one in found]
    write_labels(options.out, samples, points, options.images, scores, like)
    left_out = ", ".join(f"{count} {reason}" for reason, count in samples.left_out.items() if count)
    print(f"{options.out}: {len(samples)} pictures" + (f"; left out: {left_out}" if left_out else ""))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kp_helpers.predict", description=__doc__)
    several = "embedding.safetensors of a run; of several their joints, from one pass of the U-Net"
    parser.add_argument("embeddings", type=Path, nargs="+", metavar="EMBEDDING", help=several)
    parser.add_argument("images", type=Path, metavar="FOLDER", help="pictures, in folders below it too")
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="a .csv, COCO's .json, SLEAP's .slp, or as --like"
    )
    parser.add_argument(
        "--model", default="figures", help="folder, file or hub id it was learned on (figures)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps (cpu)")
    parser.add_argument("--dtype", default="float32", help="of the weights, or bfloat16, float16 (float32)")
    parser.add_argument("--views", type=int, default=1, help="random views to average, 1: the picture (1)")
    parser.add_argument("--framing", choices=FRAMINGS, default="letterbox", help="what is seen (letterbox)")
    boxes = "labels with the people's boxes, for person; OUT has their format if it ends like them"
    parser.add_argument("--labels", type=Path, help=boxes)
    like = "labels whose format, skeleton and names of pictures OUT takes over, or a format: "
    parser.add_argument("--like", help=like + ", ".join(FORMATS))
    parser.add_argument(
        "--skip-damaged", action="store_true", help="leave damaged pictures out and count them"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace OUT")
    return parser


if __name__ == "__main__":
    sys.exit(main())
