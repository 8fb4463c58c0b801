"""From images to keypoints with a frozen context: which tokens, their maps at test time, their points."""

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F

from kp_helpers import attention, geometry, heatmaps, keypoints
from kp_helpers.config import Augmentation, Reading, TestTime, randomness
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import Appended

IDENTITY = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
MapsOf = Callable[[torch.Tensor, bool], torch.Tensor]
"""(noised latents (B, C, h, w), whether they show mirror images) -> maps (B, T, S, S)."""
OTHER_SIDE = 0.25
"""Share of the map of `rivals` that is taken from a linear map: what looks like the other side's joint counts
less. Chosen by trial on validation pictures of the figures world: more of it costs hits.
"""
PIXELS_AT_ONCE = 2**19
"""Of the views that pass the model as one batch at test time: two of 512 x 512. It bounds memory."""


def timestep_of(diffusion: Diffusion, reading: Reading) -> int:
    """The noise level that the settings name, or the model's own."""
    return diffusion.default_timestep if reading.timestep is None else reading.timestep


def layers_of(diffusion: Diffusion, reading: Reading) -> tuple[str, ...]:
    """Names of the layers that are read."""
    return reading.layers or attention.readout_layers(diffusion.unet)


def maps(
    diffusion: Diffusion,
    latents: torch.Tensor,
    context: torch.Tensor,
    reading: Reading,
    tokens: Sequence[int] | slice | torch.Tensor | None = None,
) -> torch.Tensor:
    """`attention.attention_maps` as the settings say: of noised latents, (B, T, S, S), S = map_size."""
    asked = queries(diffusion, latents, context, reading)
    return attention.maps_from_queries(diffusion.unet, asked, context, size=reading.map_size, tokens=tokens)


def random_view(augmentation: Augmentation, seed: int, purpose: str, *keys: int) -> torch.Tensor:
    """The random view (1, 2, 3) of one purpose, step and image."""
    return geometry.random_affine(
        randomness.generator(seed, purpose, *keys),
        rotation=augmentation.rotation,
        zoom_min=augmentation.zoom_min,
        zoom_max=augmentation.zoom_max,
        translation=augmentation.translation,
    )


def combine(maps: torch.Tensor, readout: str, best: int | None = None) -> torch.Tensor:
    """One map from the maps of the appended tokens: (B, M, S, S) -> (B, S, S).

    "sum" is a share of the softmax and so in [0,1] like the target; "mean" the same over M; "best" one
    token's. "spatial" maps come as one that stands for all tokens (`attention.spatial_maps`).
    """
    if readout == "best":
        return maps[:, best]
    return maps.sum(dim=1) if readout == "sum" else maps.mean(dim=1)


def read_maps(
    diffusion: Diffusion,
    context: torch.Tensor,
    images: torch.Tensor,
    settings: TestTime,
    tokens: Sequence[int] | torch.Tensor,
) -> torch.Tensor:
    """Test-time maps of some tokens of a context (N, D), (B, T, S, S) with S = settings.read_size.

    images: (B, 3, H, W) in [0,1]. One view reads the plain image, several are averaged (StableKeypoints).
    """
    if settings.mirror:
        raise ValueError("mirror is True, expected False: tokens do not know the other side's joint")

    def maps_of(latents: torch.Tensor, _: bool) -> torch.Tensor:
        return maps(diffusion, latents, context, settings.reading, tokens)

    return over_views(diffusion, images, settings, maps_of)


def read_appended(
    diffusion: Diffusion, appended: Appended, images: torch.Tensor, settings: TestTime
) -> torch.Tensor:
    """Test-time maps of a joint, (B, S, S) with S = settings.read_size; images (B, 3, H, W) in [0,1]."""
    return read_joints(diffusion, [appended], images, settings)[:, 0]


def read_joints(
    diffusion: Diffusion, several: Sequence[Appended], images: torch.Tensor, settings: TestTime
) -> torch.Tensor:
    """`read_appended` of several embeddings, (B, E, S, S), which share the passes as in `read_points`."""
    return over_views(diffusion, images, settings, _joint_maps(diffusion, several, settings.reading))


def read_points(
    diffusion: Diffusion,
    several: Sequence[Appended],
    images: torch.Tensor,
    settings: TestTime,
    inside: torch.Tensor | None = None,
) -> torch.Tensor:
    """The keypoints of several embeddings that share the U-Net's passes, (B, E, 2) as (x, y) in [0,1].

    All must condition the U-Net alike, as those of one base do in read-out mode. images: (B, 3, H, W);
    inside: (B, 4), as for `read_keypoints`.
    """
    maps_of = _joint_maps(diffusion, several, settings.reading)
    return points_over_views(diffusion, images, settings, maps_of, inside)


def appended_views(
    diffusion: Diffusion, appended: Appended, images: torch.Tensor, settings: TestTime
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """What `read_appended` averages: of each image the joint's maps in its views (V, 1, S, S), each as its
    view shows it, and the views (V, 2, 3).
    """
    return _views(diffusion, images, settings, _joint_maps(diffusion, [appended], settings.reading))


def _joint_maps(diffusion: Diffusion, several: Sequence[Appended], reading: Reading) -> MapsOf:
    """The joint's map of each embedding, (B, E, S, S)."""
    conditioning = several[0].conditioning
    if not all(torch.equal(one.conditioning, conditioning) for one in several[1:]):
        raise ValueError("embeddings condition the U-Net differently, expected one base in read-out mode")

    def joint_maps(latents: torch.Tensor, mirrored: bool) -> torch.Tensor:
        asked = queries(diffusion, latents, conditioning, reading)
        sides = [one.mirrored if mirrored else one for one in several]
        return torch.stack([joint_map(diffusion, one, asked, reading.map_size) for one in sides], dim=1)

    return joint_maps


def queries(
    diffusion: Diffusion, latents: torch.Tensor, context: torch.Tensor, reading: Reading
) -> list[attention.Query]:
    """`attention.queries` as the settings say, of noised latents (B, C, h, w) under a context (N, D)."""
    return attention.queries(
        diffusion.unet,
        latents,
        timestep_of(diffusion, reading),
        context,
        layers=layers_of(diffusion, reading),
        precision=reading.precision,
    )


def joint_map(
    diffusion: Diffusion, appended: Appended, asked: list[attention.Query], size: int | tuple[int, int]
) -> torch.Tensor:
    """The joint's map (B, h, w) from queries under `appended.conditioning`; size: of a side, or (h, w)."""
    unet, first = diffusion.unet, len(appended.base)
    if appended.readout == "linear":
        weights = torch.cat([appended.tokens, appended.rivals])
        own, other = attention.linear_map(asked, weights, size).unbind(dim=1)
        return (own - OTHER_SIDE * other).clamp_min(0)
    if appended.readout == "spatial":
        return attention.spatial_maps(unet, asked, appended.tokens, size=size)[:, 0]
    tokens = [first + appended.best] if appended.readout == "best" else slice(first, None)
    found = attention.maps_from_queries(unet, asked, appended.context, size=size, tokens=tokens)
    return combine(found, appended.readout, 0)  # of "best" the one token that was asked for


def read_keypoints(
    maps: torch.Tensor, settings: TestTime, inside: torch.Tensor | None = None
) -> torch.Tensor:
    """Points (..., 2) in [0,1] of test-time maps (..., S, S): the maximum, or the average round it.

    inside: the part of each square that shows its picture, (4,) or (..., 4) as of `Framed.inside`; no point
    lies in the bars outside of it. None where there are none.
    """
    mask = heatmaps.inside_mask(inside, maps.shape[-1])
    if settings.window > 0:
        return keypoints.windowed_average(maps, settings.window, mask)
    return keypoints.argmax_keypoints(maps, mask)


def over_views(
    diffusion: Diffusion, images: torch.Tensor, settings: TestTime, maps_of: MapsOf
) -> torch.Tensor:
    """`maps_of` for every view of every image, averaged over views, (B, T, S, S) with S = read_size.

    With settings.mirror a view's maps are the mean of its own and of its mirror image's, mirrored back.
    """
    return torch.stack(list(_averaged(diffusion, images, settings, maps_of)))


def points_over_views(
    diffusion: Diffusion,
    images: torch.Tensor,
    settings: TestTime,
    maps_of: MapsOf,
    inside: torch.Tensor | None = None,
) -> torch.Tensor:
    """The keypoints of `over_views`, (B, T, 2) as (x, y) in [0,1]; memory holds the maps of one image.

    inside: (B, 4), as for `read_keypoints`.
    """
    each = _averaged(diffusion, images, settings, maps_of)
    parts = [None] * len(images) if inside is None else inside
    pairs = zip(each, parts, strict=True)
    return torch.stack([read_keypoints(maps, settings, part) for maps, part in pairs])


def _averaged(
    diffusion: Diffusion, images: torch.Tensor, settings: TestTime, maps_of: MapsOf
) -> Iterator[torch.Tensor]:
    """Of each image in turn its maps averaged over views, (T, S, S)."""
    for own, thetas in _views(diffusion, images, settings, maps_of):
        yield heatmaps.average_views(own, thetas.to(own))


@torch.no_grad()
def _views(
    diffusion: Diffusion, images: torch.Tensor, settings: TestTime, maps_of: MapsOf
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Of each image in turn the maps of every view, (V, T, S, S), and the views."""
    every = [(image, view) for image in range(len(images)) for view in range(settings.views)]
    thetas = torch.cat([view_of_test(settings, *one) for one in every])
    at_once = max(1, PIXELS_AT_ONCE // images[0, 0].numel())
    encoded = _encoded(diffusion, images) if settings.encode == "once" else None
    coarse = []
    for first in range(0, len(every), at_once):
        part = slice(first, first + at_once)
        numbers = [image for image, _ in every[part]]
        if encoded is None:
            plain, mirrored = _by_view(diffusion, images[numbers], thetas[part], settings.mirror)
        else:
            plain = geometry.warp(encoded[numbers] - encoded[-1], thetas[part].to(encoded)) + encoded[-1]
            mirrored = plain.flip(-1)
        maps = maps_of(_noised(diffusion, plain, every[part], settings), False)
        if settings.mirror:
            other = maps_of(_noised(diffusion, mirrored, every[part], settings), True)
            maps = (maps + other.flip(-1)) / 2
        coarse.append(maps)
    size = (settings.read_size, settings.read_size)
    for own, theta in zip(torch.cat(coarse).split(settings.views), thetas.split(settings.views), strict=True):
        yield F.interpolate(own, size=size, mode="bilinear", align_corners=False), theta


def view_of_test(settings: TestTime, image: int, view: int) -> torch.Tensor:
    """The view (1, 2, 3) of an image at test time; the only one is the plain image."""
    if settings.views == 1:
        return IDENTITY
    return random_view(settings.augmentation, settings.seed, "test view", view, image)


def _by_view(
    diffusion: Diffusion, pictures: torch.Tensor, thetas: torch.Tensor, mirror: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Latents (V, C, h, w) of the views of as many pictures, and if asked of their mirror images."""
    shown = geometry.warp(pictures, thetas)
    return diffusion.encode_image(shown), diffusion.encode_image(shown.flip(-1)) if mirror else None


def _encoded(diffusion: Diffusion, images: torch.Tensor) -> torch.Tensor:
    """Latents (B + 1, C, h, w) of the images, each encoded once, and of the black that lies outside of them.

    Warped they are not quite what the VAE makes of a warped picture: they are for many views.
    """
    black = torch.zeros_like(images[0])
    return torch.cat([diffusion.encode_image(image[None]) for image in (*images, black)])


def noised_views(
    diffusion: Diffusion, shown: torch.Tensor, which: Sequence[tuple[int, int]], settings: TestTime
) -> torch.Tensor:
    """Noised latents (B, C, h, w) of some views; `which` (image, view) each of them is decides its noise."""
    return _noised(diffusion, diffusion.encode_image(shown), which, settings)


def _noised(
    diffusion: Diffusion, latents: torch.Tensor, which: Sequence[tuple[int, int]], settings: TestTime
) -> torch.Tensor:
    generators = [randomness.generator(settings.seed, "test noise", view, image) for image, view in which]
    noise = torch.cat([torch.randn(latents[:1].shape, generator=own) for own in generators])
    return diffusion.add_noise(latents, timestep_of(diffusion, settings.reading), noise=noise)
