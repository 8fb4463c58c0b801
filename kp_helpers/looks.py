"""Looks at a view of a picture at test time: noise draws, noise levels and the mirror image, as one map."""

from collections.abc import Callable, Iterator, Sequence

import torch

from kp_helpers import randomness
from kp_helpers.config import Reading, TestTime
from kp_helpers.diffusion import Diffusion

MapsOf = Callable[[torch.Tensor, Reading, bool], torch.Tensor]
"""(noised latents (B, C, h, w), how they are read, whether they show mirror images) -> maps (B, T, S, S)."""
PIXELS_AT_ONCE = 2**19
"""Of the views that pass the model as one batch at test time: two of 512 x 512. It bounds memory."""


def timestep_of(diffusion: Diffusion, reading: Reading) -> int:
    """The noise level that the settings name, or the model's own."""
    return diffusion.default_timestep if reading.timestep is None else reading.timestep


def at_once(images: torch.Tensor) -> int:
    """How many of such images (B, 3, H, W) pass the model as one batch."""
    return max(1, PIXELS_AT_ONCE // images[0, 0].numel())


def look(
    diffusion: Diffusion,
    shown: torch.Tensor,
    which: Sequence[tuple[int, int]],
    settings: TestTime,
    maps_of: MapsOf,
) -> torch.Tensor:
    """The mean of the maps of some views over their looks, (B, T, S, S).

    A look is a noise draw at a noise level of the view or, with settings.mirror, of its mirror image, whose
    maps are mirrored back. shown: the views, (B, 3, H, W); which: (image, view) that each of them is.
    """
    found = list(_levels(diffusion, shown, which, settings, maps_of, mirrored=False))
    if settings.mirror:
        mirrored = _levels(diffusion, shown.flip(-1), which, settings, maps_of, mirrored=True)
        found += [maps.flip(-1) for maps in mirrored]
    return torch.stack(found).mean(dim=0)


def _levels(
    diffusion: Diffusion,
    shown: torch.Tensor,
    which: Sequence[tuple[int, int]],
    settings: TestTime,
    maps_of: MapsOf,
    mirrored: bool,
) -> Iterator[torch.Tensor]:
    """The maps of some views at each noise level, (B, T, S, S), the mean over their noise draws."""
    drawn = [(*one, *((draw,) if draw else ())) for one in which for draw in range(settings.draws)]
    latents = diffusion.encode_image(shown).repeat_interleave(settings.draws, dim=0)
    parts = [slice(first, first + at_once(shown)) for first in range(0, len(drawn), at_once(shown))]
    for timestep in settings.timesteps or (settings.reading.timestep,):
        reading, maps = settings.reading.replace(timestep=timestep), []
        for part in parts:
            noised_part = noised(diffusion, latents[part], drawn[part], settings.seed, reading)
            maps.append(maps_of(noised_part, reading, mirrored))
        yield torch.cat(maps).unflatten(0, (-1, settings.draws)).mean(dim=1)


def noised(
    diffusion: Diffusion, latents: torch.Tensor, which: Sequence[tuple[int, ...]], seed: int, reading: Reading
) -> torch.Tensor:
    """Latents (B, C, h, w) with the noise of the (image, view) that each is, or from draw 1 (image, view,
    draw).
    """
    keys = [(view, image, *draw) for image, view, *draw in which]
    generators = [randomness.generator(seed, "test noise", *own) for own in keys]
    noise = [torch.randn(latents[:1].shape, generator=own) for own in generators]
    return diffusion.add_noise(latents, timestep_of(diffusion, reading), noise=torch.cat(noise))
