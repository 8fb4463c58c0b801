"""The maps of a stage's tokens on a training image and on a view of it, in the two modes.

Both modes are called with tokens (M, D), the number of an image and of a view of it, and return the tokens'
maps (2, M, S, S), plain and transformed.
"""

from functools import cached_property

import torch

from kp_helpers import attention, embeddings, reading
from kp_helpers.stages.readout_cache import ReadoutCache, ReadoutView
from kp_helpers.stages.views import TrainingViews
from kp_helpers.store import digest, key_of


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
