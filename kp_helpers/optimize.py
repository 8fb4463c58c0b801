"""The two optimisation stages: the unsupervised base tokens, and the tokens appended for a joint.

A stage is a `Run`: iterate over it for its step records, then take its `result`. Only the context is
optimised; no weight of the diffusion model changes.
"""

from collections.abc import Callable

import torch

from kp_helpers import attention, embeddings, keypoints, losses
from kp_helpers.config import AppendedStage, BaseStage
from kp_helpers.diffusion import Diffusion
from kp_helpers.heatmaps import cauchy_target, gaussian_target
from kp_helpers.readout import Appended, combine, timestep_of
from kp_helpers.runs import ImagePairs, Run

TARGETS = {"gaussian": gaussian_target, "cauchy": cauchy_target}
OBJECTIVES = {"mse": losses.target_loss, "cross_entropy": losses.cross_entropy_loss}


def base_stage(
    diffusion: Diffusion, images: torch.Tensor, settings: BaseStage, *, state: dict | None = None
) -> Run:
    """The unsupervised stage of StableKeypoints; the run's result is the context (N, D).

    images: (n, 3, H, W) in [0,1]. In a step the tokens nearest to a Gaussian on the plain view are ranked,
    those far apart on the transformed view are taken, and their localization and equivariance losses are
    added.
    """
    pairs, reading = ImagePairs(diffusion, images, settings), settings.reading

    def losses_of(context: torch.Tensor, image: int, step: int) -> dict[str, torch.Tensor]:
        latents, theta = pairs(image, step)
        plain, moved = attention.attention_maps(
            diffusion.unet, latents, pairs.timestep, context, layers=reading.layers, size=reading.map_size
        )
        candidates = keypoints.rank_gaussian(plain.detach(), settings.candidates, settings.sigma_pixels)
        chosen = keypoints.furthest_points(moved.detach(), settings.keypoints, candidates)
        return {
            "localization": losses.localization_loss(plain[chosen], settings.sigma_pixels),
            "equivariance": losses.equivariance_loss(plain[chosen], moved[chosen], theta),
        }

    start = embeddings.initialise(
        settings.tokens, diffusion.context_width, settings.seed, scale=settings.init_scale
    )
    return Run(settings, start.to(diffusion.device), len(images), losses_of, lambda context: context, state)


def appended_stage(
    diffusion: Diffusion,
    base: torch.Tensor,
    images: torch.Tensor,
    points: torch.Tensor,
    settings: AppendedStage,
    *,
    state: dict | None = None,
) -> Run:
    """The supervised stage of Schofield; the run's result is an `Appended`.

    base: the base context (N, D), frozen. images: (n, 3, H, W) in [0,1]; points: (n, 2), the joint in each of
    them as (x, y) in [0,1]. The three losses are of one map, the read-out of the appended tokens' maps.
    """
    base = base.detach().to(diffusion.device)
    targets = _targets(points, len(images), settings).to(diffusion.device)
    objective, size = OBJECTIVES[settings.objective], settings.reading.map_size
    pairs = ImagePairs(diffusion, images, settings)
    maps_of = _full_maps(pairs, base) if settings.mode == "full" else _readout_maps(pairs, base)

    def losses_of(tokens: torch.Tensor, image: int, step: int) -> dict[str, torch.Tensor]:
        maps, theta = maps_of(tokens, image, step)
        best = _best([maps], [targets[image]], objective) if settings.readout == "best" else None
        plain, moved = combine(maps, settings.readout, best)
        return {
            "localization": losses.localization_loss(plain[None], settings.localization_sigma * size),
            "equivariance": losses.equivariance_loss(plain[None], moved[None], theta),
            "target": objective(plain, targets[image]),
        }

    @torch.no_grad()
    def finish(tokens: torch.Tensor) -> Appended:
        best = None
        if settings.readout == "best":
            found = [maps_of(tokens, image, 0)[0] for image in range(len(images))]
            best = _best(found, targets, objective)
        return Appended(base, tokens, settings.readout, best, settings.mode)

    return Run(settings, _start(pairs, base, targets), len(images), losses_of, finish, state)


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
        "settings": settings.model_dump(mode="json"),
        "seed": settings.seed,
    }


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


def _full_maps(pairs: ImagePairs, base: torch.Tensor) -> Callable:
    """(tokens, image, step) -> maps (2, M, S, S) of the tokens and the view; they condition the U-Net too."""
    unet, reading = pairs.diffusion.unet, pairs.settings.reading

    def maps_of(tokens: torch.Tensor, image: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        latents, theta = pairs(image, step)
        context = embeddings.append(base, tokens)
        maps = attention.attention_maps(
            unet, latents, pairs.timestep, context, layers=reading.layers, size=reading.map_size
        )
        return maps[:, len(base) :], theta

    return maps_of


def _readout_maps(pairs: ImagePairs, base: torch.Tensor) -> Callable:
    """As `_full_maps`, but the U-Net sees the base alone, so that its queries for a few views are kept."""
    unet, reading = pairs.diffusion.unet, pairs.settings.reading
    kept: dict[tuple[int, int], tuple] = {}

    def maps_of(tokens: torch.Tensor, image: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        view = step % pairs.settings.cached_views
        if (image, view) not in kept:
            latents, theta = pairs(image, view)
            asked = attention.queries(unet, latents, pairs.timestep, base, layers=reading.layers)
            rivals = attention.rival_sums(unet, asked, base, size=reading.map_size)
            kept[image, view] = asked, rivals, theta
        asked, rivals, theta = kept[image, view]
        return attention.maps_from_queries(unet, asked, tokens, size=reading.map_size, rivals=rivals), theta

    return maps_of


@torch.no_grad()
def _best(maps: list[torch.Tensor], targets, objective: Callable) -> int:
    """The token whose plain map has the smallest target loss over images; maps: (2, M, S, S) an image."""
    loss = [
        sum(objective(m[0, n], t) for m, t in zip(maps, targets, strict=True))
        for n in range(maps[0].shape[1])
    ]
    return int(torch.stack(loss).argmin())


@torch.no_grad()
def _start(pairs: ImagePairs, base: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Noise, or copies of the base tokens whose maps lie most on the targets, (M, D)."""
    settings, unet = pairs.settings, pairs.diffusion.unet
    count = settings.appended_tokens(len(base))
    if settings.init == "random":
        start = embeddings.initialise(
            count, base.shape[1], settings.seed, scale=settings.init_scale, purpose="appended"
        )
        return start.to(base)
    looks = torch.zeros(len(base), device=base.device)
    for image, target in enumerate(targets):
        maps = attention.attention_maps(
            unet,
            pairs(image, 0)[0][:1],
            pairs.timestep,
            base,
            layers=settings.reading.layers,
            size=len(target),
        )[0]
        looks += (maps * target).sum(dim=(-2, -1)) / maps.sum(dim=(-2, -1))
    ranked = looks.argsort(descending=True, stable=True)
    return base[ranked[torch.arange(count, device=base.device) % len(base)]]
