"""The maps of tokens that several runs learn, in one pass of the model for all of them, by mode.

Both modes are called with a run's `ImagePairs`, its tokens (M, D), an image of it for each run, and the step;
they return for each run its maps (2, M, S, S), on the plain image and on the view of the step, and that view,
theta (1, 2, 3). Read-out mode sums the maps to (2, 1, S, S) for a run that reads no more than their sum. No
run sees another's tokens: each is a place of the batch with a context of its own.
"""

from collections.abc import Callable, Hashable, Sequence
from functools import cached_property

import torch

from kp_helpers import attention, embeddings, readout
from kp_helpers.attention import Query
from kp_helpers.model_folder import WEIGHTS, sha256
from kp_helpers.readout_cache import ReadoutCache, ReadoutView, digest, key_of
from kp_helpers.training_views import ImagePairs

Maps = list[tuple[torch.Tensor, torch.Tensor]]


class CoupledMaps:
    """Coupled mode, the papers' own: the whole context conditions the U-Net and is read from it.

    base: tokens (N, D) that stand before each run's own and whose maps nobody asks for; None where a run
    learns the whole context.
    """

    def __init__(self, base: torch.Tensor | None = None):
        self.base = base

    def __call__(
        self, pairs: Sequence[ImagePairs], tokens: Sequence[torch.Tensor], images: Sequence[int], step: int
    ) -> Maps:
        views = [own.view(step) for own in pairs]

        def maps_of(kind: tuple[int, int], runs: list[int]) -> torch.Tensor:
            groups, count = kind
            latents = torch.cat([pairs[n].latents(images[n], views[n]) for n in runs])
            own = [tokens[n] for n in runs]
            contexts = own if self.base is None else [embeddings.append(self.base, one) for one in own]
            diffusion, reading = pairs[0].diffusion, pairs[0].settings.reading
            if groups:
                asked = readout.queries(diffusion, latents, _twice(contexts), reading)
                given = {"size": reading.map_size, "groups": groups}
                return attention.spatial_maps(diffusion.unet, asked, _twice(own), **given)
            return readout.maps(diffusion, latents, _twice(contexts), reading, tokens=slice(-count, None))

        kinds = [(_groups(own, of, self.base), len(of)) for own, of in zip(pairs, tokens, strict=True)]
        found = _by_kind(kinds, maps_of)
        return _with_views(found, pairs, images, views)


class ReadoutMaps:
    """Read-out mode, the kit's own: the U-Net sees the base (N, D) alone, so what it says of a view is kept.

    diffusion, reading: of all runs. precision: "float32" or "float16", of what is kept; all products are
    float32.
    """

    def __init__(self, diffusion, base: torch.Tensor, reading, cache: ReadoutCache, precision: str):
        self.diffusion, self.base, self.reading = diffusion, base, reading
        self.cache, self.dtype = cache, getattr(torch, precision)
        self._keys: dict[tuple[ImagePairs, int, int], str] = {}

    def __call__(
        self, pairs: Sequence[ImagePairs], tokens: Sequence[torch.Tensor], images: Sequence[int], step: int
    ) -> Maps:
        views = [own.view(step) for own in pairs]
        shown = list(zip(pairs, images, views, strict=True))
        asked = {one: self._kept(*one).to(torch.float32) for one in dict.fromkeys(shown)}
        kept = [asked[one] for one in shown]
        of_runs = zip(pairs, tokens, strict=True)
        kinds = [(_sums(own), _groups(own, of, self.base), of.shape) for own, of in of_runs]

        def maps_of(kind: tuple[bool, int, torch.Size], runs: list[int]) -> torch.Tensor:
            return self._maps([kept[n] for n in runs], [tokens[n] for n in runs], *kind[:2])

        return _with_views(_by_kind(kinds, maps_of), pairs, images, views)

    def _maps(
        self, kept: list[ReadoutView], tokens: list[torch.Tensor], summed: bool, groups: int
    ) -> torch.Tensor:
        """The maps of some runs, (2 R, M, S, S), their sums (2 R, 1, S, S), or spatial maps by group."""
        asked = [_joined_queries(layer) for layer in zip(*(one.queries for one in kept), strict=True)]
        if groups:
            given = {"size": self.reading.map_size, "groups": groups}
            return attention.spatial_maps(self.diffusion.unet, asked, _twice(tokens), **given)
        rivals = [torch.cat(layer) for layer in zip(*(one.rivals for one in kept), strict=True)]
        maps_of = attention.summed_map if summed else attention.maps_from_queries
        return maps_of(self.diffusion.unet, asked, _twice(tokens), rivals=rivals, size=self.reading.map_size)

    def _kept(self, pairs: ImagePairs, image: int, view: int) -> ReadoutView:
        if (pairs, image, view) not in self._keys:
            self._keys[pairs, image, view] = self._key(pairs, image, view)
        key = self._keys[pairs, image, view]
        return self.cache.view(key, lambda: self._build(pairs.latents(image, view)), keep=pairs.pool > 0)

    @torch.no_grad()
    def _build(self, latents: torch.Tensor) -> ReadoutView:
        asked = readout.queries(self.diffusion, latents, self.base, self.reading)
        rivals = attention.rival_sums(self.diffusion.unet, asked, self.base, size=self.reading.map_size)
        return ReadoutView(asked, rivals).to(self.dtype)

    def _key(self, pairs: ImagePairs, image: int, view: int) -> str:
        """What the kept numbers follow from; two runs share them if they see the same view and noise."""
        return key_of(
            **self._shared_parts,
            image=digest({"image": pairs.images[image].cpu()}),
            view=pairs.theta(image, view).tolist(),
            noise=pairs.noise_keys(image, view),
        )

    @cached_property
    def _shared_parts(self) -> dict:
        model, reading = self.diffusion, self.reading
        timestep = readout.timestep_of(model, reading)
        return {
            "unet": model.fingerprint,
            "vae": sha256(model.folder / "vae" / WEIGHTS["vae"]),
            "revision": model.revision,
            "scales": [model.vae.config.scaling_factor, float(model.scheduler.alphas_cumprod[timestep])],
            "computed": [str(model.unet.dtype), model.device.type, reading.precision],
            "base": digest({"base": self.base.cpu()}),
            "timestep": timestep,
            "layers": readout.layers_of(model, reading),
            "map_size": reading.map_size,
            "temperature": reading.temperature,
            "kept": str(self.dtype),
        }


def _twice(tokens: Sequence[torch.Tensor]) -> torch.Tensor:
    """A context for each view, (2 R, M, D): a run's plain and transformed view stand side by side."""
    return torch.stack(list(tokens)).repeat_interleave(2, dim=0)


def _joined_queries(layer: Sequence[Query]) -> Query:
    return Query(layer[0].layer, torch.cat([query.values for query in layer]))


def _sums(pairs: ImagePairs) -> bool:
    """Whether a run needs no more than the sum of all its tokens' maps."""
    return pairs.settings.readout == "sum" and pairs.settings.mirror != "rivals"


def _groups(pairs: ImagePairs, tokens: torch.Tensor, base: torch.Tensor | None) -> int:
    """How many spatial maps a run reads, one of each side; 0 where it reads shares of tokens."""
    if base is None or pairs.settings.readout != "spatial":
        return 0
    return len(tokens) // pairs.settings.appended_tokens(len(base))


def _by_kind(kinds: Sequence[Hashable], maps_of: Callable) -> list[torch.Tensor]:
    """The maps (2, T, S, S) of each run; runs of one kind, whatever others are beside them, are one batch.

    maps_of: (kind, numbers of its runs) -> (2 R, T, S, S).
    """
    found: dict[int, torch.Tensor] = {}
    for kind in dict.fromkeys(kinds):
        runs = [n for n, own in enumerate(kinds) if own == kind]
        found |= zip(runs, maps_of(kind, runs).unflatten(0, (-1, 2)), strict=True)
    return [found[n] for n in range(len(kinds))]


def _with_views(
    maps: Sequence[torch.Tensor], pairs: Sequence[ImagePairs], images: Sequence[int], views: list[int]
) -> Maps:
    thetas = [own.theta(*at).to(maps[0].device) for own, *at in zip(pairs, images, views, strict=True)]
    return list(zip(maps, thetas, strict=True))
