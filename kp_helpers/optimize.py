"""The two optimisation stages: the unsupervised base tokens, and the tokens appended for a joint.

A stage is a `Run`: iterate over it for its step records, then take its `result`. Only the context is
optimised; no weight of the diffusion model changes. `base_stages` and `appended_stages` make several runs one
batch.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch

from kp_helpers import embeddings, keypoints, losses, restarts, starts
from kp_helpers.appended import Appended
from kp_helpers.config import AppendedStage, BaseStage, ConfigError
from kp_helpers.diffusion import Diffusion
from kp_helpers.joint_losses import TARGETS as TARGETS
from kp_helpers.joint_losses import Labelled
from kp_helpers.readout import layers_of, timestep_of
from kp_helpers.readout_cache import ReadoutCache
from kp_helpers.runs import Run, RunBatch
from kp_helpers.training_examples import examples
from kp_helpers.training_maps import CoupledMaps, ReadoutMaps
from kp_helpers.training_views import ImagePairs

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
    others: torch.Tensor | None = None,
) -> Run:
    """The supervised stage of Schofield; the run's result is an `Appended`.

    base: the base context (N, D), frozen. images: (n, 3, H, W) in [0,1]; points: (n, 2), the joint in each of
    them as (x, y) in [0,1]. The three losses are of one map, the read-out of the appended tokens' maps.
    cache: a folder in which read-out mode keeps what the U-Net says of each view, for this run and others
    that see the same; None keeps it in memory only. Coupled mode has nothing to keep there.
    others: (n, 2), the other side's joint, NaN where it is not known; the points themselves for a joint of
    the midline. `mirror` "examples" and `other_side_weight` need them, and all else learns nothing from them.
    """
    given = ([images], [points], [settings])
    return appended_stages(diffusion, base, *given, states=[state], cache=cache, others=[others]).runs[0]


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
    others: Sequence[torch.Tensor | None] | None = None,
) -> RunBatch:
    """`appended_stage` for several settings at once, each with its own images, points and others.

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
    nothing = [None] * len(settings)
    lots = zip(images, points, others or nothing, settings, objectives or nothing, strict=True)
    labelled = [_labelled(diffusion, *lot) for lot in lots]
    runs = []
    for own, state in zip(labelled, states or nothing, strict=True):
        finish = partial(_finished, own, base, maps_of)
        losses_of = partial(_appended_losses, [own], maps_of)
        start = starts.start(own, base, maps_of)
        runs.append(Run(own.settings, start, len(own.examples), losses_of, finish, state))
    return RunBatch(runs, partial(_appended_losses, labelled, maps_of))


def metadata(diffusion: Diffusion, settings: BaseStage | AppendedStage) -> dict:
    """What `embeddings.save` wants to know of tokens that a stage learned."""
    reading = settings.reading
    return {
        "space": "unet context",
        "model": diffusion.name,
        "model_hash": diffusion.fingerprint,
        "revision": diffusion.revision,
        "layers": list(layers_of(diffusion, reading)),
        "timestep": timestep_of(diffusion, reading),
        "precision": reading.precision,
        "settings": settings.model_dump(mode="json"),
        "seed": settings.seed,
    }


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


def _labelled(
    diffusion: Diffusion,
    images: torch.Tensor,
    points: torch.Tensor,
    others: torch.Tensor | None,
    settings: AppendedStage,
    objective: Callable | None,
) -> Labelled:
    if objective and settings.mirror != "none":
        raise ConfigError(
            f"mirror is {settings.mirror!r}, expected 'none' beside an objective of the caller's images"
        )
    learned_from = examples(images, points, others, settings)
    pairs = ImagePairs(diffusion, learned_from.images, settings, settings.pool)
    return Labelled(pairs, learned_from, objective)


def _appended_losses(
    labelled: Sequence[Labelled], maps_of: Callable, tokens: list, images: Sequence[int], step: int
) -> list[dict[str, torch.Tensor]]:
    """The parts of each run's loss on one image, (R,) of R restarts, each a place of the batch."""
    places = [(run, own) for run, learned in enumerate(tokens) for own in _restarts(labelled[run], learned)]
    runs = [run for run, _ in places]
    pairs, shown = [labelled[run].pairs for run in runs], [images[run] for run in runs]
    found: list[list[dict]] = [[] for _ in labelled]
    seen = maps_of(pairs, [own for _, own in places], shown, step)
    for run, (maps, theta) in zip(runs, seen, strict=True):
        found[run].append(labelled[run].parts(maps, theta, images[run]))
    return [{name: torch.stack([one[name] for one in own]) for name in own[0]} for own in found]


def _restarts(own: Labelled, tokens: torch.Tensor) -> torch.Tensor:
    """The tokens of each restart, (R, M, D), also of a single one."""
    return tokens if own.settings.restarts > 1 else tokens[None]


@torch.no_grad()
def _finished(own: Labelled, base: torch.Tensor, maps_of: Callable, tokens: torch.Tensor) -> Appended:
    """What the run learned: of several restarts that which `restart_by` says."""
    settings, best, every = own.settings, None, range(len(own.examples))
    if settings.restarts > 1:
        tokens = tokens[restarts.chosen(own, maps_of, tokens)]
    if settings.readout == "best":
        best = int(own.plain_losses(maps_of, tokens, every).argmin())
    tokens, rivals = tokens.chunk(2) if own.examples.has_rivals else (tokens, None)
    midline = own.examples.midline
    return Appended(base, tokens, settings.readout, best, settings.mode, rivals=rivals, midline=midline)


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
