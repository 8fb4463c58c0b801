"""A training image in its random views, and the maps of a stage's tokens on them, in the two modes.

Both modes are called with tokens (M, D), the number of an image and of a view of it, and return the tokens'
maps (2, M, S, S), plain and transformed.
"""

from functools import cached_property

import torch

from kp_helpers import attention, embeddings, geometry, reading
from kp_helpers.config import AppendedStage, BaseStage, randomness
from kp_helpers.diffusion import Diffusion
from kp_helpers.heatmaps import inside_mask
from kp_helpers.reading import random_view, timestep_of
from kp_helpers.stages.readout_cache import ReadoutCache, ReadoutView
from kp_helpers.store import digest, key_of


class TrainingViews:
    """The plain and the transformed view of a run's training images as noised latents.

    A plain image is encoded once. pool: how many transformed views of an image there are, each with its own
    noise and encoded once; 0 draws a new one in every step. inside: the part of each square that shows its
    picture, (n, 4) as (x0, y0, x1, y1) in [0,1], None where there are no bars.
    """

    def __init__(
        self,
        diffusion: Diffusion,
        images: torch.Tensor,
        settings: BaseStage | AppendedStage,
        pool: int,
        inside: torch.Tensor | None = None,
    ):
        self.diffusion, self.images, self.settings, self.pool = diffusion, images, settings, pool
        self.timestep = timestep_of(diffusion, settings.reading)
        self._masks = inside_mask(inside, settings.reading.map_size)
        self._encoded: dict[tuple[int, ...], torch.Tensor] = {}

    def __len__(self) -> int:
        return len(self.images)

    def view(self, step: int) -> int:
        """The number of the view that a step sees."""
        return step % self.pool if self.pool else step

    def theta(self, image: int, view: int) -> torch.Tensor:
        """The affine view (1, 2, 3)."""
        return random_view(self.settings.augmentation, self.settings.seed, "view", view, image)

    def inside(self, image: int, theta: torch.Tensor | None = None) -> torch.Tensor | None:
        """Which pixels of a map of the plain view, or of the view theta (1, 2, 3), show the picture, bool
        (S, S); None for all.
        """
        if self._masks is None or theta is None:
            return None if self._masks is None else self._masks[image]
        return geometry.warp(self._masks[image][None, None].float(), theta.cpu())[0, 0] > 0.5

    def noise_keys(self, image: int, view: int) -> tuple:
        """What the noise of both views follows from, the arguments of `randomness.generator`."""
        return self.settings.seed, "noise", view, image

    def latents(self, image: int, view: int) -> torch.Tensor:
        """Noised latents (2, C, h, w), plain then transformed."""
        picture = self.images[image][None]
        if (image,) not in self._encoded:
            self._encoded[image,] = self.diffusion.encode_image(picture)
        moved = self._encoded.get((image, view))
        if moved is None:
            moved = self.diffusion.encode_image(geometry.warp(picture, self.theta(image, view)))
        if self.pool:
            self._encoded[image, view] = moved
        both = torch.cat([self._encoded[image,], moved])
        noise = randomness.generator(*self.noise_keys(image, view))
        return self.diffusion.add_noise(both, self.timestep, noise)


def checked_points(points: torch.Tensor, images: int) -> torch.Tensor:
    """Labels (n, 2) as float32; a ValueError if they are not one (x, y) in [0,1] for each image."""
    points = torch.as_tensor(points, dtype=torch.float32)
    if points.shape != (images, 2):
        raise ValueError(
            f"points have shape {tuple(points.shape)}, expected ({images}, 2), one joint an image"
        )
    inside = (points >= 0) & (points <= 1)
    if not inside.all():
        image = int((~inside).any(dim=1).nonzero()[0])
        raise ValueError(f"points: image {image} has {points[image].tolist()}, expected (x, y) in [0,1]")
    return points


class CoupledMaps:
    """Coupled mode, the papers' own: the whole context conditions the U-Net and is read from it.

    base: tokens (N, D) that stand before the learned ones and whose maps nobody asks for; None where the
    whole context is learned.
    """

    def __init__(self, views: TrainingViews, base: torch.Tensor | None = None):
        self.views, self.base = views, base

    def __call__(self, tokens: torch.Tensor, image: int, view: int) -> torch.Tensor:
        settings, diffusion = self.views.settings.reading, self.views.diffusion
        context = tokens if self.base is None else embeddings.append(self.base, tokens)
        context = _for_both(context)
        queries = reading.queries(diffusion, self.views.latents(image, view), context, settings)
        if self.base is not None and self.views.settings.readout == "spatial":
            return attention.spatial_maps(diffusion.unet, queries, _for_both(tokens), size=settings.map_size)
        learned = slice(-len(tokens), None)
        return attention.maps_from_queries(
            diffusion.unet, queries, context, size=settings.map_size, tokens=learned
        )


class ReadoutMaps:
    """Read-out mode, the kit's own: the U-Net sees the base (N, D) alone, so what it says of a view is kept.

    Where no more is read than the sum of the tokens' maps, that is what is returned, (2, 1, S, S).
    """

    def __init__(self, views: TrainingViews, base: torch.Tensor, cache: ReadoutCache):
        self.views, self.base, self.cache = views, base, cache
        self._keys: dict[tuple[int, int], str] = {}

    def __call__(self, tokens: torch.Tensor, image: int, view: int) -> torch.Tensor:
        unet, settings = self.views.diffusion.unet, self.views.settings
        kept, learned, size = self.kept(image, view), _for_both(tokens), settings.reading.map_size
        if settings.readout == "spatial":
            return attention.spatial_maps(unet, kept.queries, learned, size=size)
        maps_of = attention.summed_map if settings.readout == "sum" else attention.maps_from_queries
        return maps_of(unet, kept.queries, learned, rivals=kept.rivals, size=size)

    def kept(self, image: int, view: int) -> ReadoutView:
        """What the U-Net under the base says of an image and a view, from the cache or asked now."""
        if (image, view) not in self._keys:
            self._keys[image, view] = self._key(image, view)
        key = self._keys[image, view]
        return self.cache.view(key, lambda: self._asked(image, view), keep=self.views.pool > 0)

    @torch.no_grad()
    def _asked(self, image: int, view: int) -> ReadoutView:
        diffusion, settings = self.views.diffusion, self.views.settings.reading
        queries = reading.queries(diffusion, self.views.latents(image, view), self.base, settings)
        rivals = attention.rival_sums(diffusion.unet, queries, self.base, size=settings.map_size)
        return ReadoutView(queries, rivals)

    def _key(self, image: int, view: int) -> str:
        """What the kept numbers follow from; two runs share them if they see the same view and noise."""
        return key_of(
            **self._shared_parts,
            image=digest({"image": self.views.images[image].cpu()}),
            view=self.views.theta(image, view).tolist(),
            noise=self.views.noise_keys(image, view),
        )

    @cached_property
    def _shared_parts(self) -> dict:
        model, settings = self.views.diffusion, self.views.settings.reading
        timestep = self.views.timestep
        return {
            "unet": model.fingerprint,
            "vae": model.vae_fingerprint,
            "revision": model.revision,
            "scales": [model.vae.config.scaling_factor, float(model.scheduler.alphas_cumprod[timestep])],
            "computed": [str(model.unet.dtype), model.device.type, settings.precision],
            "base": digest({"base": self.base.cpu()}),
            "timestep": timestep,
            "layers": reading.layers_of(model, settings),
            "map_size": settings.map_size,
        }


def _for_both(tokens: torch.Tensor) -> torch.Tensor:
    """The same tokens (M, D) for the plain and the transformed view, (2, M, D)."""
    return tokens[None].repeat_interleave(2, dim=0)
