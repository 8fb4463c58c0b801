"""How much draws differ: hits over runs, and learned embeddings by their tokens and by where they look."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from scipy.stats import betabinom, chi2

from kp_helpers import reading
from kp_helpers.config import TestTime
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import Appended


@dataclass(frozen=True)
class Clustering:
    """The spread of hits over runs, in the unit of a share.

    sd: standard deviation (n - 1) of the runs' shares of hits. expected: its mean where hits fall on pictures
    of any run alike. low, high: the 95 % interval of sd - expected. p: how often such hits are spread as
    widely, one-sided.
    """

    sd: float
    expected: float
    low: float
    high: float
    p: float


def clustering(hits: ArrayLike, runs: ArrayLike, *, resamples: int = 10_000, seed: int = 0) -> Clustering:
    """A permutation test of hits (n,), 0 or 1, in runs (n,): all orders of the hits are equally likely where
    it does not matter which run a picture belongs to.

    Pictures may differ in how hard they are, since each run draws its own. The interval is what remains of sd
    when the middle 95 % of the permutations' are taken from it, so it leaves out zero where p < .025.
    ValueError for fewer than two runs, or for values that are no hits.
    """
    hits, member = _checked(hits, runs)
    if len(member) < 2:
        raise ValueError("hits are of one run, expected two at least: one has no spread")
    shares = _permuted(hits, member, resamples, seed) / member.sum(axis=1)
    by_chance = shares.std(axis=1, ddof=1)
    sd = float((member @ hits / member.sum(axis=1)).std(ddof=1))
    lowest, highest = np.quantile(by_chance, [0.025, 0.975])
    as_wide = (by_chance >= sd - 1e-12).sum()
    return Clustering(
        sd, float(by_chance.mean()), sd - highest, sd - lowest, float((1 + as_wide) / (1 + resamples))
    )


def hits_of_runs(hits: ArrayLike, runs: ArrayLike, *, resamples: int = 10_000, seed: int = 0) -> pd.DataFrame:
    """How many runs have 0, 1, 2, ... hits: columns hits, runs, and expected, as for `clustering`."""
    hits, member = _checked(hits, runs)
    most, own = int(member.sum(axis=1).max()), (member @ hits).astype(int)
    chance = _permuted(hits, member, resamples, seed).astype(int)
    expected = np.bincount(chance.ravel(), minlength=most + 1) / resamples
    counts = {"hits": range(most + 1), "runs": np.bincount(own, minlength=most + 1), "expected": expected}
    return pd.DataFrame(counts)


def _permuted(hits: np.ndarray, member: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Hits of each run (resamples, R) where they fall on any picture alike."""
    orders = np.random.default_rng(seed).permuted(np.tile(hits, (resamples, 1)), axis=1)
    return orders @ member.T


def _checked(hits: ArrayLike, runs: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Hits (n,) as numbers, and which of them belong to each run, (R, n) of 0 and 1."""
    hits, runs = np.asarray(hits, float), np.asarray(runs)
    if hits.shape != runs.shape or hits.ndim != 1 or not len(hits):
        found = f"hits have shape {hits.shape} and runs {runs.shape}"
        raise ValueError(f"{found}, expected (n,) of both, one hit or miss at least")
    if not np.isin(hits, (0, 1)).all():
        raise ValueError("hits hold a value other than 0 and 1, expected misses and hits")
    return hits, (runs == np.unique(runs)[:, None]).astype(float)


def share_of_lucky(hits: ArrayLike, pictures: int) -> tuple[float, float, float]:
    """How many runs hit all of their pictures, by a beta-binomial law: the share, and its 95 % interval.

    hits, pictures, the interval and errors: as for `spread_of_runs`.
    """
    return _of_laws(hits, pictures, lambda mean, size: _law(pictures, mean, size).pmf(pictures))


def spread_of_runs(hits: ArrayLike, pictures: int) -> tuple[float, float, float]:
    """The standard deviation of the runs' probabilities of a hit, as a share, and its 95 % interval.

    hits: (runs,), how many of its `pictures` each run has hit. By a beta-binomial law of mean m and size s it
    is sqrt(m (1 - m) / (s + 1)). The value is that of the likeliest law, the interval's bounds those of all
    laws whose log-likelihood is within 1.92 of it (profile likelihood). ValueError for hits that are not 0 to
    `pictures` of two runs at least.
    """
    return _of_laws(hits, pictures, lambda mean, size: np.sqrt(mean * (1 - mean) / (size + 1)))


def _law(pictures: int, mean: ArrayLike, size: ArrayLike):
    return betabinom(pictures, mean * size, (1 - mean) * size)


def _of_laws(hits: ArrayLike, pictures: int, value: Callable) -> tuple[float, float, float]:
    """A value (mean, size) of the likeliest beta-binomial law, and its bounds over all that are likely."""
    hits = np.asarray(hits, int)
    if hits.ndim != 1 or len(hits) < 2 or hits.min() < 0 or hits.max() > pictures:
        raise ValueError(f"hits are {hits}, expected 0 to {pictures} of two runs at least")
    mean, size = np.meshgrid(np.linspace(0.001, 0.999, 200), np.geomspace(0.05, 1000, 100))
    law = _law(pictures, mean, size)
    values, counts = np.unique(hits, return_counts=True)
    likelihood = sum(count * law.logpmf(one) for one, count in zip(values, counts, strict=True))
    of_laws, near = value(mean, size), likelihood >= likelihood.max() - chi2.ppf(0.95, 1) / 2
    return float(of_laws.flat[likelihood.argmax()]), float(of_laws[near].min()), float(of_laws[near].max())


def token_cosines(learned: Sequence[Appended]) -> torch.Tensor:
    """Cosine similarity of the embeddings' tokens, (E, E), token by token in their order, then the mean."""
    tokens = torch.stack([F.normalize(one.tokens, dim=-1) for one in learned])
    return torch.einsum("amd,bmd->ab", tokens, tokens) / tokens.shape[1]


def map_correlations(
    diffusion: Diffusion, learned: Sequence[Appended], images: torch.Tensor, settings: TestTime
) -> torch.Tensor:
    """Pearson's correlation of the maps of each two embeddings, (E, E), the mean over images (n, 3, S, S).

    It says whether two embeddings look at the same places, whatever their tokens are.
    """
    seen = [reading.read_appended(diffusion, one, images, settings).flatten(1) for one in learned]
    maps = torch.stack(seen)
    maps = F.normalize(maps - maps.mean(dim=-1, keepdim=True), dim=-1)
    return torch.einsum("anp,bnp->ab", maps, maps) / len(images)
