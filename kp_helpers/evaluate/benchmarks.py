"""StableKeypoints' benchmark on its five sets: predict all, regress, evaluate.

Points are (n, K, 2) in [0,1] of the square that the model sees, in the order of their set.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from kp_helpers import metrics, reading, regress
from kp_helpers.config import Protocol, TestTime
from kp_helpers.data import KeypointSample, Samples
from kp_helpers.diffusion import Diffusion
from kp_helpers.evaluate.benchmark_sets import BENCHMARKS, MASKED, UNITS, Benchmark
from kp_helpers.evaluate.measures import SQUARE_SHARE, Measure
from kp_helpers.evaluate.protocol import framed
from kp_helpers.evaluate.scores import report
from kp_helpers.metrics import Metric, stable_keypoints

AT_ONCE, REACH = 32, 0.2
"""Pictures that are in memory at once, and the share of the square to which the PCK curve goes."""
SOURCE = "Hedlin et al., Stable Diffusion 1.5 on the published set; from a secondary source"
SQUARE = {"normaliser": "the square that the model sees"}
MEASURES = {
    "pck": Measure(name="landmarks within 1/20 of the square", threshold="1/20", **SQUARE),
    "auc": Measure(name="AUC of PCK to 0.2 of the square", threshold="0 to 0.2", **SQUARE),
}
"""What claims are decided by on every set alike; each set's own measure stands beside them."""


@dataclass(frozen=True)
class Tokens:
    """A context (N, D), and which K of its tokens are the keypoints."""

    context: torch.Tensor
    chosen: torch.Tensor


@dataclass(frozen=True)
class Labelled:
    """Samples with their landmarks (n, J, 2), 0.5 where not known, and which of them count, (n, J)."""

    samples: Sequence[KeypointSample]
    points: np.ndarray
    seen: np.ndarray


def labelled(benchmark: Benchmark, samples: Samples, count: int, seed: int) -> Labelled:
    """`count` samples at random, the same for a seed; 0 takes all. A smaller draw begins a larger one."""
    order = np.random.default_rng((seed, 5)).permutation(len(samples))[: count or None]
    picked = [samples[int(index)] for index in order]
    views = (framed([sample], 1, benchmark.framing) for sample in picked)
    points = [torch.cat([view.points(joint) for joint in samples.joints]) for view in views]
    seen = np.array([[sample.visible[joint] for joint in samples.joints] for sample in picked])
    return Labelled(picked, torch.stack(points).double().nan_to_num(0.5).numpy(), seen)


def predict(
    diffusion: Diffusion, tokens: Tokens, samples: Sequence, framing: Protocol, settings: TestTime
) -> np.ndarray:
    """Predict all: the keypoints (n, K, 2) of the samples."""

    def maps_of(latents: torch.Tensor, _: bool) -> torch.Tensor:
        return reading.maps(diffusion, latents, tokens.context, settings.reading, tokens.chosen)

    found = []
    for first in range(0, len(samples), AT_ONCE):
        images = framed(samples[first : first + AT_ONCE], diffusion.image_size, framing).images
        found.append(reading.points_over_views(diffusion, images, settings, maps_of).cpu().double())
    return torch.cat(found).numpy()


def fitted(benchmark: Benchmark, found: np.ndarray, fit: Labelled) -> np.ndarray:
    """Regress: the matrix from found keypoints to landmarks, by the way of the set's measure."""
    if benchmark.measure == "orientation_invariant":
        flat = (points.reshape(len(points), -1) for points in (found, fit.points))
        return regress.fit_human36m(*flat)
    return regress.fit(found, fit.points, fit.seen if benchmark.measure in MASKED else None)


def scored(
    benchmark: Benchmark, method: str, run: int, predicted: np.ndarray, test: Labelled
) -> pd.DataFrame:
    """Evaluate: a row a picture, with what names it as in `scores.score`, and its numbers.

    own: the set's measure, in percent over 100 and in pixels too, so that `summary` has it in its unit; pck,
    auc: of `MEASURES`. A picture without a landmark that counts has no row. Where sides are exchanged for
    Human3.6M's own measure, so are they for the others.
    """
    masked = (test.seen,) if benchmark.measure in MASKED else ()
    own = getattr(stable_keypoints, benchmark.measure)(predicted, test.points, *masked)
    if benchmark.measure == "orientation_invariant":
        exchanged = stable_keypoints.exchange_sides(predicted)
        plain, other = (np.linalg.norm(p - test.points, axis=-1).mean(-1) for p in (predicted, exchanged))
        predicted = np.where((other < plain)[:, None, None], exchanged, predicted)
    hits = metrics.pck(predicted, test.points, 1.0, SQUARE_SHARE)
    areas = metrics.auc(predicted, test.points, 1.0, REACH)
    counts = test.seen.sum(axis=1)
    rows = pd.DataFrame(
        {
            "joint": benchmark.name,
            "method": method,
            "run": run,
            "image": [sample.name for sample in test.samples],
            "sequence": [sample.sequence or sample.name for sample in test.samples],
            "own": own / (100 if UNITS[benchmark.measure].startswith("px") else 1),
            "pck": (hits * test.seen).sum(axis=1) / counts.clip(1),
            "auc": (areas * test.seen).sum(axis=1) / counts.clip(1),
        }
    )
    return rows[counts > 0]


def mean_place(fit: Labelled, count: int) -> np.ndarray:
    """The control that looks at no picture, (count, J, 2): where each landmark is on average."""
    mean = np.ma.array(fit.points, mask=np.repeat(~fit.seen[..., None], 2, axis=2)).mean(axis=0).filled(0.5)
    return np.broadcast_to(mean, (count, *mean.shape))


def summary(scores: pd.DataFrame) -> list[Metric]:
    """Every measure of each set and method over its runs and pictures, with the published number beside."""
    measured = []
    for name, rows in scores.groupby("joint", sort=False):
        one = BENCHMARKS[name]
        own = Measure(name=one.measure, bounded=one.measure == "pck")
        for number in report(rows, {"own": own, **MEASURES}):
            if number.measure == one.measure:
                beside = {"paper": one.published, "source": SOURCE if one.published else ""}
                number = replace(number, unit=UNITS[one.measure], **beside)
            measured.append(number)
    return measured
