"""What the appended embedding has to beat on the same pictures: controls, and random points.

What the U-Net says of a picture under one context is asked once, for all methods that read it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from kp_helpers import attention
from kp_helpers.attention import Query
from kp_helpers.config import AppendedStage, Profile, TestTime, randomness
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import Appended
from kp_helpers.evaluate.protocol import Found, Framed, appended_name, located, of_run
from kp_helpers.reading import joint_map, noised_views, points_over_views, queries, read_keypoints
from kp_helpers.stages import AppendedTokens

UNSUPERVISED = "unsupervised keypoint"
RANDOM, BASE, NEAREST, MEAN = "random embedding", "base token", "nearest neighbour", "mean position"
CONTROLS = (UNSUPERVISED, RANDOM, BASE, NEAREST, MEAN)
"""The base's token that no label chose, tokens that learned nothing, the base's token that the labels
choose, no tokens, and no picture at all.
"""
CHANCE, CHANCE_POINTS = "random point", 25
"""What needs no method: points anywhere in the square that the model sees, so many a picture."""


@dataclass(frozen=True)
class FromLabels:
    """What the labelled pictures give without any learning.

    token: of the base, the one whose maximum is nearest to the labels on average, the best that no learning
    can do. feature: (C,), the mean of the labelled pixels' feature vectors as `similarity` takes it.
    """

    token: int
    feature: torch.Tensor


def compare(
    diffusion: Diffusion,
    appended: Appended,
    train: Framed,
    test: Framed,
    joint: str,
    settings: Profile,
    run: int = 0,
    keypoint: int | None = None,
) -> list[Found]:
    """The joint on the test images by the appended tokens and by the `CONTROLS`.

    All that read a test image see it in the same views under the same noise. Controls that know nothing of
    the other side read no mirror image. keypoint: the token of the base that is its unsupervised keypoint;
    without one that control is left out.
    """
    start = untrained(diffusion, appended.base, train, joint, settings.appended, run)
    known = from_labels(diffusion, appended.base, train, joint, settings.test)
    readers = _readers(diffusion, appended, replace(start, base=appended.base), known, settings, keypoint)
    sharing: dict[tuple[int, bool], list[_Reader]] = {}
    for reader in readers:
        sharing.setdefault((id(reader.context), reader.mirrors and settings.test.mirror), []).append(reader)
    points: dict[str, torch.Tensor] = {}
    for (_, mirror), own in sharing.items():
        points |= _read(diffusion, own, test, settings.test.replace(mirror=mirror))
    found = [
        one for reader in readers for one in located(test, points[reader.method], joint, reader.method, run)
    ]
    return found + mean_position(train, test, joint, run)


def untrained(
    diffusion: Diffusion, base: torch.Tensor, train: Framed, joint: str, settings: AppendedStage, run: int
) -> Appended:
    """The control "random embedding": the noise from which the appended stage of a run starts, of the same
    size and read in the same way; a fit has no such tokens, so they are read as the paper's are.
    """
    own = of_run(settings, run).replace(init="random")
    if own.readout == "linear":
        own = own.replace(readout="sum")
    stage = AppendedTokens(diffusion, base, train.images, train.points(joint), own, inside=train.inside)
    return stage.result(stage.start())


@torch.no_grad()
def from_labels(
    diffusion: Diffusion, base: torch.Tensor, train: Framed, joint: str, settings: TestTime
) -> FromLabels:
    """What the labelled images give under a base context (N, D), read as test images are, in one view."""
    reading, points = settings.reading, train.points(joint)
    places, vectors = [], []
    parts = [None] * len(points) if train.inside is None else train.inside
    for number, (image, part) in enumerate(zip(train.images, parts, strict=True)):
        latents = noised_views(diffusion, image[None], [(number, 0)], settings)
        asked = queries(diffusion, latents, base, reading)
        maps = attention.maps_from_queries(diffusion.unet, asked, base, size=reading.map_size)[0]
        places.append(read_keypoints(maps, settings, part).cpu())
        column, row = (points[number] * reading.map_size).long().clamp(0, reading.map_size - 1).tolist()
        vectors.append(torch.cat([one[0, :, row, column] for one in _features(asked, reading.map_size)]))
    distance = (torch.stack(places) - points[:, None]).norm(dim=-1)
    return FromLabels(int(distance.mean(dim=0).argmin()), torch.stack(vectors).mean(dim=0))


def similarity(asked: Sequence[Query], feature: torch.Tensor, size: int) -> torch.Tensor:
    """(1 + cosine similarity) / 2 of every pixel's feature vector with `feature` (C,), (B, size, size).

    A feature vector is what the appended tokens are read with and no more: the queries of all heads of the
    read-out layers, upsampled bicubically as logits are. Each layer's part has length 1, since what a layer's
    attention says does not depend on how long another layer's queries are. The scale from 0 to 1 lets maps of
    several views be averaged like those of tokens.
    """
    parts = feature.split([query.values[0, :, :, 0, 0].numel() for query in asked])
    layers = zip(_features(asked, size), parts, strict=True)
    product = sum(torch.einsum("bchw,c->bhw", layer, part) for layer, part in layers)
    return (1 + product / (len(asked) ** 0.5 * feature.norm())) / 2


def mean_position(train: Framed, test: Framed, joint: str, run: int) -> list[Found]:
    """The control that looks at no picture: the labels' mean position in the square."""
    return located(test, train.points(joint).mean(dim=0).expand(len(test.images), 2), joint, MEAN, run)


def random_points(test: Framed, joint: str, run: int, seed: int) -> list[Found]:
    """`CHANCE_POINTS` points of every test image, uniform in its square, as predictions of a method."""
    generator = randomness.generator(seed, "random points", run)
    points = torch.rand(CHANCE_POINTS, len(test.images), 2, generator=generator)
    return [one for own in points for one in located(test, own, joint, CHANCE, run)]


@dataclass(frozen=True)
class _Reader:
    """A method that reads queries under a context (N, D).

    map_of: (queries of B images, whether they are mirrored) -> (B, S, S). mirrors: whether mirrored ones can
    be read.
    """

    method: str
    context: torch.Tensor
    map_of: Callable[[list[Query], bool], torch.Tensor]
    mirrors: bool = False


def _readers(
    diffusion: Diffusion,
    appended: Appended,
    start: Appended,
    known: FromLabels,
    settings: Profile,
    keypoint: int | None,
) -> list[_Reader]:
    """The methods that look at test images, in the order of their results."""
    reading, base = settings.test.reading, appended.base

    def map_of_token(token: int) -> Callable[[list[Query], bool], torch.Tensor]:
        size = reading.map_size
        return lambda asked, _: attention.maps_from_queries(
            diffusion.unet, asked, base, size=size, tokens=[token]
        )[:, 0]

    def map_of(one: Appended) -> Callable[[list[Query], bool], torch.Tensor]:
        return lambda asked, mirrored: joint_map(
            diffusion, one.mirrored if mirrored else one, asked, reading.map_size
        )

    unlabelled = [] if keypoint is None else [_Reader(UNSUPERVISED, base, map_of_token(keypoint))]
    return [
        _Reader(appended_name(settings.appended), appended.conditioning, map_of(appended), mirrors=True),
        *unlabelled,
        _Reader(RANDOM, start.conditioning, map_of(start)),
        _Reader(BASE, base, map_of_token(known.token)),
        _Reader(NEAREST, base, lambda asked, _: similarity(asked, known.feature, reading.map_size)),
    ]


def _read(
    diffusion: Diffusion, readers: Sequence[_Reader], test: Framed, settings: TestTime
) -> dict[str, torch.Tensor]:
    """Points (n, 2) in [0,1] by method, for methods that have their context in common."""

    def maps_of(latents: torch.Tensor, mirrored: bool) -> torch.Tensor:
        asked = queries(diffusion, latents, readers[0].context, settings.reading)
        return torch.stack([reader.map_of(asked, mirrored) for reader in readers], dim=1)

    points = points_over_views(diffusion, test.images, settings, maps_of, test.inside)
    return {reader.method: points[:, number] for number, reader in enumerate(readers)}


def _features(asked: Sequence[Query], size: int) -> Iterator[torch.Tensor]:
    """Of each layer the upsampled queries of all heads, (B, heads d, size, size), of length 1 at a pixel."""
    for query in asked:
        fine = F.interpolate(
            query.values.flatten(1, 2), size=(size, size), mode="bicubic", align_corners=False
        )
        yield F.normalize(fine, dim=1)
