"""The two optimisation stages: the unsupervised base tokens, and the tokens appended for a joint.

A stage is a `Run`: iterate over it for its step records, then take its `result`. Only the context is
optimised; no weight of the diffusion model changes. `base_stages` and `appended_stages` make several runs one
batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from kp_helpers import attention, embeddings, keypoints, losses, readout
from kp_helpers.config import AppendedStage, BaseStage, ConfigError
from kp_helpers.diffusion import Diffusion
from kp_helpers.heatmaps import cauchy_target, gaussian_target
from kp_helpers.readout import Appended, combine, timestep_of
from kp_helpers.readout_cache import ReadoutCache
from kp_helpers.runs import Run, RunBatch
from kp_helpers.training_maps import CoupledMaps, ReadoutMaps
from kp_helpers.training_views import ImagePairs

TARGETS = {"gaussian": gaussian_target, "cauchy": cauchy_target}
OBJECTIVES = {"mse": losses.target_loss, "cross_entropy": losses.cross_entropy_loss}
SHARED = ("ratio", "mode", "steps", "images_per_step", "reading", "kept_precision")
"""The settings that all runs of `appended_stages` have in common."""


def base_stage(
    diffusion: Diffusion, images: torch.Tensor, settings: BaseStage, *, state: dict | None = None
) -> Run:
    """The unsupervised stage of StableKeypoints; the run's result is the context (N, D).

    images: (n, 3, H, W) in [0,1]. In a step the tokens nearest to a Gaussian on the plain view are ranked,
    those far apart on the transformed view are taken, and their localization and equivariance losses are
    added.
    """
    return base_stages(diffusion, [images], [settings], states=[state]).runs[0]


def base_stages(
    diffusion: Diffusion,
    images: Sequence[torch.Tensor],
    settings: Sequence[BaseStage],
    *,
    states: Sequence[dict | None] | None = None,
) -> RunBatch:
    """`base_stage` for several settings at once, each with its own images.

    They may differ in all but tokens, steps, images_per_step and reading.
    """
    _check_shared(settings, ("tokens", "steps", "images_per_step", "reading"))
    maps_of, runs = CoupledMaps(), []
    pairs = [
        ImagePairs(diffusion, own, one, one.augmentation_pool)
        for own, one in zip(images, settings, strict=True)
    ]
    for own, state in zip(pairs, states or [None] * len(pairs), strict=True):
        one = own.settings
        start = embeddings.initialise(one.tokens, diffusion.context_width, one.seed, scale=one.init_scale)
        losses_of = partial(_base_losses, [own], maps_of)
        runs.append(Run(one, start.to(diffusion.device), len(own), losses_of, lambda found: found, state))
    return RunBatch(runs, partial(_base_losses, pairs, maps_of))


def appended_stage(
    diffusion: Diffusion,
    base: torch.Tensor,
    images: torch.Tensor,
    points: torch.Tensor,
    settings: AppendedStage,
    *,
    state: dict | None = None,
    cache: str | Path | None = None,
) -> Run:
    """The supervised stage of Schofield; the run's result is an `Appended`.

    base: the base context (N, D), frozen. images: (n, 3, H, W) in [0,1]; points: (n, 2), the joint in each of
    them as (x, y) in [0,1]. The three losses are of one map, the read-out of the appended tokens' maps.
    cache: a folder in which read-out mode keeps what the U-Net says of each view, for this run and others
    that see the same; None keeps it in memory only. Coupled mode has nothing to keep there.
    """
    batch = appended_stages(diffusion, base, [images], [points], [settings], states=[state], cache=cache)
    return batch.runs[0]


def appended_stages(
    diffusion: Diffusion,
    base: torch.Tensor,
    images: Sequence[torch.Tensor],
    points: Sequence[torch.Tensor],
    settings: Sequence[AppendedStage],
    *,
    states: Sequence[dict | None] | None = None,
    cache: str | Path | ReadoutCache | None = None,
    objectives: Sequence[Callable | None] | None = None,
) -> RunBatch:
    """`appended_stage` for several settings at once, each with its own images and points.

    They may differ in all but `SHARED`. Memory grows with their number. cache: also one that batches share.
    objectives: what a run learns in the place of its target loss, (the joint's map (S, S), number of the
    image) -> a scalar; None is the target loss.
    """
    _check_shared(settings, SHARED)
    base, one = base.detach().to(diffusion.device), settings[0]
    if one.mode == "coupled":
        maps_of: Callable = CoupledMaps(base)
    else:
        kept = cache if isinstance(cache, ReadoutCache) else ReadoutCache(cache, diffusion.device)
        maps_of = ReadoutMaps(diffusion, base, one.reading, kept, one.kept_precision)
    lots = zip(images, points, settings, objectives or [None] * len(settings), strict=True)
    labelled = [
        _Labelled(ImagePairs(diffusion, own, one, one.pool), _targets(at, len(own), one).to(base.device), aim)
        for own, at, one, aim in lots
    ]
    runs = []
    for own, state in zip(labelled, states or [None] * len(labelled), strict=True):
        finish = partial(_finished, own, base, maps_of)
        losses_of = partial(_appended_losses, [own], maps_of)
        runs.append(Run(own.pairs.settings, _start(own, base), len(own.pairs), losses_of, finish, state))
    return RunBatch(runs, partial(_appended_losses, labelled, maps_of))


def metadata(diffusion: Diffusion, settings: BaseStage | AppendedStage) -> dict:
    """What `embeddings.save` wants to know of tokens that a stage learned."""
    reading = settings.reading
    return {
        "space": "unet context",
        "model": diffusion.name,
        "model_hash": diffusion.fingerprint,
        "revision": diffusion.revision,
        "layers": list(reading.layers or attention.readout_layers(diffusion.unet)),
        "timestep": timestep_of(diffusion, reading),
        "precision": reading.precision,
        "settings": settings.model_dump(mode="json"),
        "seed": settings.seed,
    }


@dataclass(frozen=True)
class _Labelled:
    """What a run of the appended stage learns from: views, target maps (n, S, S), an objective of its own."""

    pairs: ImagePairs
    targets: torch.Tensor
    objective: Callable | None

    def loss(self, map: torch.Tensor, image: int) -> torch.Tensor:
        usual = OBJECTIVES[self.pairs.settings.objective]
        return self.objective(map, image) if self.objective else usual(map, self.targets[image])


def _base_losses(
    pairs: Sequence[ImagePairs], maps_of: Callable, contexts: list, images: Sequence[int], step: int
) -> list[dict[str, torch.Tensor]]:
    """The parts of each run's loss on one image, of the tokens that this step counts."""
    found = []
    for own, (maps, theta) in zip(pairs, maps_of(pairs, contexts, images, step), strict=True):
        settings, (plain, moved) = own.settings, maps
        candidates = keypoints.rank_gaussian(plain.detach(), settings.candidates, settings.sigma_pixels)
        chosen = keypoints.furthest_points(moved.detach(), settings.keypoints, candidates)
        near = losses.localization_loss(plain[chosen], settings.sigma_pixels)
        still = losses.equivariance_loss(plain[chosen], moved[chosen], theta)
        found.append({"localization": near, "equivariance": still})
    return found


def _appended_losses(
    labelled: Sequence[_Labelled], maps_of: Callable, tokens: list, images: Sequence[int], step: int
) -> list[dict[str, torch.Tensor]]:
    """The parts of each run's loss on one image."""
    seen = maps_of([own.pairs for own in labelled], tokens, images, step)
    return [_joint_losses(*of_run) for of_run in zip(labelled, seen, images, strict=True)]


def _joint_losses(own: _Labelled, seen: tuple[torch.Tensor, torch.Tensor], image: int) -> dict:
    """The losses of the joint's map; seen: maps (2, M, S, S), plain and on the view, and that view."""
    settings, (maps, theta) = own.pairs.settings, seen
    best = _best(own, {image: maps}) if settings.readout == "best" else None
    plain, moved = combine(maps, settings.readout, best)
    return {
        "localization": losses.localization_loss(plain[None], settings.localization_sigma * len(plain)),
        "equivariance": losses.equivariance_loss(plain[None], moved[None], theta),
        "target": own.loss(plain, image),
    }


@torch.no_grad()
def _finished(own: _Labelled, base: torch.Tensor, maps_of: Callable, tokens: torch.Tensor) -> Appended:
    settings, best = own.pairs.settings, None
    if settings.readout == "best":
        found = {image: maps_of([own.pairs], [tokens], [image], 0)[0][0] for image in range(len(own.pairs))}
        best = _best(own, found)
    return Appended(base, tokens, settings.readout, best, settings.mode)


def _check_shared(settings: Sequence[BaseStage | AppendedStage], names: Sequence[str]) -> None:
    if not settings:
        raise ConfigError("settings: an empty list was given, expected those of at least one run")
    for run, one in enumerate(settings):
        for name in names:
            found, first = getattr(one, name), getattr(settings[0], name)
            if found != first:
                raise ConfigError(
                    f"settings: run {run} has {name} {found!r}, expected {first!r} as in run 0 of the batch"
                )


def _targets(points: torch.Tensor, images: int, settings: AppendedStage) -> torch.Tensor:
    """The target map of every training image, (n, S, S)."""
    points = torch.as_tensor(points, dtype=torch.float32)
    if points.shape != (images, 2):
        raise ValueError(
            f"points have shape {tuple(points.shape)}, expected ({images}, 2), one joint an image"
        )
    outside = ~((points >= 0) & (points <= 1)).all(dim=1)
    if outside.any():
        image = int(outside.nonzero()[0])
        raise ValueError(f"points: image {image} has {points[image].tolist()}, expected (x, y) in [0,1]")
    return TARGETS[settings.target](points, settings.reading.map_size, settings.sigma)


@torch.no_grad()
def _best(own: _Labelled, maps: dict[int, torch.Tensor]) -> int:
    """The token whose plain map has the smallest loss over images; maps: image -> (2, M, S, S)."""
    tokens = range(next(iter(maps.values())).shape[1])
    return int(torch.stack([sum(own.loss(m[0, n], i) for i, m in maps.items()) for n in tokens]).argmin())


@torch.no_grad()
def _start(own: _Labelled, base: torch.Tensor) -> torch.Tensor:
    """Noise, or copies of the base tokens whose maps lie most on the targets, (M, D)."""
    settings = own.pairs.settings
    count = settings.appended_tokens(len(base))
    if settings.init == "random":
        start = embeddings.initialise(
            count, base.shape[1], settings.seed, scale=settings.init_scale, purpose="appended"
        )
        return start.to(base)
    looks = torch.zeros(len(base), device=base.device)
    for image, target in enumerate(own.targets):
        plain = own.pairs.latents(image, 0)[:1]
        maps = readout.maps(own.pairs.diffusion, plain, base, settings.reading)[0]
        looks += (maps * target).sum(dim=(-2, -1)) / maps.sum(dim=(-2, -1))
    ranked = looks.argsort(descending=True, stable=True)
    return base[ranked[torch.arange(count, device=base.device) % len(base)]]
