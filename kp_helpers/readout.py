"""From images to keypoints with a frozen context: which tokens to use, their maps at test time, their
points.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from kp_helpers import attention, geometry, heatmaps, keypoints, randomness
from kp_helpers.config import Augmentation, BaseStage, Reading, TestTime
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import append

IDENTITY = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
SELECTION_IMAGES = 100


@dataclass(frozen=True)
class Appended:
    """What the appended stage learned for one joint.

    base: (N, D), frozen. tokens: (M, D), learned. readout: "sum", "mean" or "best" of the tokens' maps; best:
    the token of "best", else None. mode: "full" or "readout", whether `tokens` condition the U-Net too.
    """

    base: torch.Tensor
    tokens: torch.Tensor
    readout: str = "sum"
    best: int | None = None
    mode: str = "full"

    @property
    def context(self) -> torch.Tensor:
        """[e_base ; e_app], (N + M, D)."""
        return append(self.base, self.tokens)


def timestep_of(diffusion: Diffusion, reading: Reading) -> int:
    """The noise level that the settings name, or the model's own."""
    return diffusion.default_timestep if reading.timestep is None else reading.timestep


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
    token's.
    """
    if readout == "best":
        return maps[:, best]
    return maps.sum(dim=1) if readout == "sum" else maps.mean(dim=1)


@torch.no_grad()
def select_tokens(
    diffusion: Diffusion, context: torch.Tensor, images: torch.Tensor, settings: BaseStage, k: int
) -> torch.Tensor:
    """The k tokens chosen most often over the first 100 images, (k,) indices into the N of context (N, D).

    An image chooses as a step of the base stage does, on the plain view alone (StableKeypoints).
    images: (n, 3, H, W) in [0,1].
    """
    timestep, reading = timestep_of(diffusion, settings.reading), settings.reading
    chosen = []
    for i, image in enumerate(images[:SELECTION_IMAGES]):
        noise = randomness.generator(settings.seed, "selection noise", i)
        latents = diffusion.add_noise(diffusion.encode_image(image[None]), timestep, noise)
        asked = attention.queries(diffusion.unet, latents, timestep, context, layers=reading.layers)
        maps = attention.maps_from_queries(diffusion.unet, asked, context, size=reading.map_size)[0]
        candidates = keypoints.rank_gaussian(maps, settings.candidates, settings.sigma_pixels)
        chosen.append(keypoints.furthest_points(maps, settings.keypoints, candidates))
    return keypoints.most_chosen(torch.stack(chosen), k)


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
    tokens = torch.as_tensor(tokens, device=diffusion.device)

    def maps_of(latents: torch.Tensor, timestep: int) -> torch.Tensor:
        size, layers = settings.reading.map_size, settings.reading.layers
        maps = attention.attention_maps(diffusion.unet, latents, timestep, context, layers=layers, size=size)
        return maps[:, tokens]

    return _over_views(diffusion, images, settings, maps_of)


def read_appended(
    diffusion: Diffusion, appended: Appended, images: torch.Tensor, settings: TestTime
) -> torch.Tensor:
    """Test-time maps of a joint, (B, S, S) with S = settings.read_size; images (B, 3, H, W) in [0,1]."""
    first = len(appended.base)
    context = appended.context.to(diffusion.device)
    conditioning = context if appended.mode == "full" else context[:first]

    def maps_of(latents: torch.Tensor, timestep: int) -> torch.Tensor:
        unet, size = diffusion.unet, settings.reading.map_size
        asked = attention.queries(unet, latents, timestep, conditioning, layers=settings.reading.layers)
        maps = attention.maps_from_queries(unet, asked, context, size=size)
        return combine(maps[:, first:], appended.readout, appended.best)[:, None]

    return _over_views(diffusion, images, settings, maps_of)[:, 0]


def read_keypoints(maps: torch.Tensor, settings: TestTime) -> torch.Tensor:
    """Points (..., 2) of test-time maps (..., S, S): the maximum, or the average round it, (x, y) in
    [0,1].
    """
    if settings.window > 0:
        return keypoints.windowed_average(maps, settings.window)
    return keypoints.argmax_keypoints(maps)


@torch.no_grad()
def _over_views(
    diffusion: Diffusion,
    images: torch.Tensor,
    settings: TestTime,
    maps_of: Callable[[torch.Tensor, int], torch.Tensor],
) -> torch.Tensor:
    """`maps_of(noised latents, timestep)` for every view of every image, averaged over views, (B, T, S,
    S).
    """
    timestep, size = timestep_of(diffusion, settings.reading), settings.read_size
    averages = []
    for i, image in enumerate(images):
        thetas, maps = [], []
        for view in range(settings.views):
            theta = IDENTITY
            if settings.views > 1:
                theta = random_view(settings.augmentation, settings.seed, "test view", view, i)
            latents = diffusion.encode_image(geometry.warp(image[None], theta))
            noise = randomness.generator(settings.seed, "test noise", view, i)
            coarse = maps_of(diffusion.add_noise(latents, timestep, noise), timestep)
            maps.append(F.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=False))
            thetas.append(theta)
        averages.append(heatmaps.average_views(torch.cat(maps), torch.cat(thetas).to(maps[0])))
    return torch.stack(averages)
