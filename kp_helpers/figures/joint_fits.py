"""What the features hold of joints: hits of ridge fits by number of labels, and of what five labels teach."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from kp_helpers import config, embeddings, evaluate, intervals, metrics
from kp_helpers.data import KeypointSample
from kp_helpers.diffusion import Diffusion
from kp_helpers.evaluate import Found, Variant
from kp_helpers.figures.export import export
from kp_helpers.figures.held_out import JOINTS, Joints, OnePerson, features, one_person_pictures
from kp_helpers.heatmaps import gaussian_target
from kp_helpers.keypoints import argmax_keypoints
from kp_helpers.stages import linear
from kp_helpers.stages.starts import in_float64

LABELS = {5: 16, 20: 8, 200: 1}
"""Number of labelled pictures of a fit -> how many fits the number is the mean of."""
LEVELS = (50, 100, 200, 300)
"""Noise levels that are compared."""
TESTED = 200
WITHIN, SIGMA, SIZE = 0.05, 0.05, 64
"""A hit's largest distance and the target's standard deviation, of the picture's width; side of the maps."""


def ridge_table(
    diffusion: Diffusion,
    pictures: tuple[OnePerson, OnePerson],
    timestep: int = 100,
    labels: Mapping[int, int] = LABELS,
) -> dict[str, dict]:
    """`ridge_measures` of the read-out queries at a noise level, under an empty caption.

    pictures: those of `pictures_for`. The fits are `stages.linear`'s, to a Gaussian of `SIGMA`.
    """
    labelled, tested = pictures
    label_features = features(diffusion, labelled, timestep, SIZE)
    test_features = features(diffusion, tested, timestep, SIZE)
    return ridge_measures(label_features, labelled.joints, test_features, tested.joints, labels)


def pictures_for(
    diffusion: Diffusion, tested: int = TESTED, labels: Mapping[int, int] = LABELS
) -> tuple[OnePerson, OnePerson]:
    """The labelled pictures that all fits need, and those that are tested on."""
    return one_person_pictures(diffusion, tested, max(size * number for size, number in labels.items()))


def ridge_measures(
    label_features: Iterable[torch.Tensor],
    label_joints: Joints,
    test_features: Iterable[torch.Tensor],
    test_joints: Joints,
    labels: Mapping[int, int] = LABELS,
) -> dict[str, dict]:
    """By joint and number of labels (as text): the share of `ridge` hits, its 95 % `ridge_intervals`, and
    `wrong_side`; `ridge_mean` over the joints by number of labels.

    features: of each picture (C, S, S). Predictions are tested where the joint is visible; a share without
    any picture is None. A joint of the midline has no wrong side.
    """
    weights = fits(label_features, label_joints, labels)
    points = maxima(test_features, torch.cat(list(weights.values())))
    shares, bounds, sides = ({joint: {} for joint in JOINTS} for _ in range(3))
    for (joint, size), own in zip(weights, points.split([len(one) for one in weights.values()]), strict=True):
        seen = test_joints.visible[:, JOINTS.index(joint)]
        errors = {
            name: (own - test_joints.points[:, JOINTS.index(name)]).norm(dim=-1)[:, seen].numpy()
            for name in (joint, metrics.mirrored(joint))
            if name
        }
        hits = errors[joint] <= WITHIN
        shares[joint][str(size)] = float(hits.mean()) if hits.size else None
        found = intervals.share(hits.astype(float)) if hits.size else None
        bounds[joint][str(size)] = (found.low, found.high) if found else None
        if len(errors) == 2:
            sides[joint][str(size)] = wrong_side(*errors.values())
    means = {str(size): _mean(shares[joint][str(size)] for joint in JOINTS) for size in labels}
    sides = {joint: own for joint, own in sides.items() if own}
    return {"ridge": shares, "ridge_intervals": bounds, "ridge_mean": means, "wrong_side": sides}


def fits(
    features: Iterable[torch.Tensor], joints: Joints, labels: Mapping[int, int]
) -> dict[tuple[str, int], torch.Tensor]:
    """(joint, number of labels) -> weights (fits, C) float32 of ridge fits that share no label.

    ValueError where too few pictures show a joint.
    """
    targets = gaussian_target(joints.points, SIZE, SIGMA)
    moments = [_moments(seen, own) for seen, own in zip(features, targets, strict=True)]
    weights = {}
    for column, joint in enumerate(JOINTS):
        showing = np.flatnonzero(joints.visible[:, column])
        order = np.random.default_rng(column).permutation(showing)
        for size, number in labels.items():
            if size * number > len(order):
                found = f"{len(order)} labelled pictures show {joint}"
                raise ValueError(f"{found}, expected at least {size * number} for {number} x {size} labels")
            draws = order[: size * number].reshape(number, size)
            totals = [reduce(add, (moments[picture][column] for picture in draw)) for draw in draws]
            found = [linear.fit(total, linear.STRENGTH * SIZE**2).weights.float() for total in totals]
            weights[joint, size] = torch.stack(found)
    return weights


def maxima(features: Iterable[torch.Tensor], weights: torch.Tensor) -> torch.Tensor:
    """Where w . x is largest: (F, n, 2) as (x, y) in [0,1], of weights (F, C) and n pictures (C, S, S)."""
    maps = (torch.einsum("fc,chw->fhw", weights, seen) for seen in features)
    return torch.stack([argmax_keypoints(own) for own in maps], dim=1)


def wrong_side(errors: np.ndarray, other_errors: np.ndarray) -> float | None:
    """The share nearer to the other side's joint, of the predictions that are a hit on either; None where
    none is. .5 is knowing nothing.

    errors, other_errors: distances of any shape, of the picture's width, from the joint and from the other.
    """
    near = np.minimum(errors, other_errors) <= WITHIN
    return float((other_errors < errors)[near].mean()) if near.any() else None


def _mean(shares: Iterable[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return sum(known) / len(known) if known else None


def _moments(seen: torch.Tensor, targets: torch.Tensor) -> list[linear.Moments]:
    """Of one picture, features (C, S, S), those of each target (J, S, S); they share what is no target's."""
    whole = linear.moments(seen[None], targets[:1])
    products = in_float64(seen).flatten(1) @ in_float64(targets).flatten(1).T
    pairs = zip(products.T, targets, strict=True)
    return [replace(whole, xy=product, y=float(in_float64(own).sum())) for product, own in pairs]


WORLD = Path("build/figures")
OBJECTIVES = {"the paper's losses": "mse", "cross-entropy": "cross_entropy"}
"""Name in the table -> the appended stage's objective; the losses' weights are the same."""
_MEASURE = "within_square"


def taught(
    diffusion: Diffusion,
    world: Path = WORLD,
    joints: Sequence[str] = JOINTS[:3],
    levels: Sequence[int] = (100, 300),
    runs: int = 4,
    tested: int = 20,
    settings: config.Profile | None = None,
) -> dict[str, dict]:
    """Share of hits within 1/20 of the square by method and joint, and its 95 % interval: `taught` and
    `taught_intervals`.

    world: an exported figures world, made there if there is none. A run has random base tokens, labels and
    `tested` test pictures of its own. settings: those of notebook 03 unless given, read-out mode included.
    """
    if tested < 2:
        raise ValueError(f"taught: tested is {tested}, expected at least 2 pictures, for an interval")
    settings = settings or config.profile("quick")
    settings = settings.replace(protocol=settings.protocol.replace(test_images=tested))
    if not world.exists():
        export(world)
    sets = tuple(evaluate.data_set(world, split, joints) for split in ("train", "test"))
    found = []
    for joint, run in tqdm([(j, r) for r in range(runs) for j in joints], desc="taught", leave=False):
        found += _one_run(diffusion, sets, joint, settings, levels, run)
    measures = {_MEASURE: evaluate.ALL[_MEASURE]}
    shares, bounds = {}, {}
    for row in evaluate.report(evaluate.score(found), measures):
        shares.setdefault(row.method, {})[row.joint] = row.value / 100
        low, high = row.interval
        bounds.setdefault(row.method, {})[row.joint] = (low / 100, high / 100)
    return {"taught": shares, "taught_intervals": bounds}


def _one_run(
    diffusion: Diffusion,
    sets: tuple[Sequence[KeypointSample], Sequence[KeypointSample]],
    joint: str,
    settings: config.Profile,
    levels: Sequence[int],
    run: int,
) -> list[Found]:
    """Predictions of all methods; what depends on a noise level has it in its name."""
    base = embeddings.initialise(settings.base.tokens, diffusion.context_width, run).to(diffusion.device)
    variants = [
        Variant(at_level(name, level), appended={"objective": objective}, reading={"timestep": level})
        for level in levels
        for name, objective in OBJECTIVES.items()
    ]
    found = evaluate.sweep(diffusion, base, sets, joint, settings, variants, run)
    labels = settings.protocol.train_images
    for level in levels:
        read = settings.read_alike(timestep=level)
        references = evaluate.references(diffusion, base, sets, joint, read, [labels], run)
        ridge = [one for one in references if one.method == evaluate.ridge_name(labels)]
        found += [replace(one, method=at_level(one.method, level)) for one in ridge]
    return found


def at_level(method: str, timestep: int) -> str:
    """The method's name with the noise level that it reads at."""
    return f"{method}, t = {timestep}"
