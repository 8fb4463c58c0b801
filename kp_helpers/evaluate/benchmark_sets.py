"""The sets of StableKeypoints' benchmark by the published program's names, and how much a profile does."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kp_helpers.config import Protocol
from kp_helpers.data import Samples, benchmarks
from kp_helpers.data.errors import known


@dataclass(frozen=True)
class Benchmark:
    """A set by the published program's name. folder: within a world of all sets; keypoints: K, the published
    number of tokens. measure: the published evaluation method; published: its number [H].
    """

    name: str
    folder: str
    load: Callable[..., Samples]
    measure: str
    published: float | None
    keypoints: int = 10

    def root(self, data: Path) -> Path:
        """The set's folder, also where data is a world of all sets."""
        return data / self.folder if (data / self.folder).is_dir() else data

    @property
    def framing(self) -> Protocol:
        """Squashed to the square; CUB's parts are cut out by the bird's box with 5 % of room."""
        framing = "person" if self.load.func is benchmarks.CUBParts else "squash"
        return Protocol(framing=framing, margin=0.05, jitter=0.0)


def _benchmark(name, folder, load, measure, published=None, keypoints=10, **options) -> Benchmark:
    return Benchmark(name, folder, partial(load, **options), measure, published, keypoints)


_CELEBA = ("celeba", benchmarks.CelebA, "inter_eye_distance")
_CUB = ("cub", benchmarks.CUBParts, "visible")
BENCHMARKS = {
    one.name: one
    for one in (
        _benchmark("taichi", "taichi", benchmarks.TaiChi, "mean_average_error", 234.89),
        _benchmark("human3.6m", "human36m", benchmarks.Human36M, "orientation_invariant", 4.45),
        _benchmark("deepfashion", "deepfashion", benchmarks.DeepFashion, "pck", 70.0),
        _benchmark("celeba_aligned", *_CELEBA, 3.6),
        _benchmark("cub_aligned", "cub", benchmarks.CUBAligned, "visible", 5.06),
        _benchmark("celeba_wild", *_CELEBA, 4.35, 8, aligned=False),
        *(_benchmark(f"cub_00{n}", *_CUB, 10.5, species=n) for n in (1, 2, 3)),
        _benchmark("cub_all", *_CUB, 5.4),
        _benchmark("unaligned_human3.6m", "human36m", benchmarks.Human36MUnaligned, "orientation_invariant"),
    )
}
"""By name. CUB's three species share one published number."""
FIVE = tuple(BENCHMARKS)[:5]
FURTHER = ("celeba_wild", "cub_001", "cub_002", "cub_003", "cub_all")
"""The sets, each in one form, and the further forms that a world has."""
UNITS = {
    "inter_eye_distance": "% of the distance of the eyes",
    "visible": "% of the side",
    "mean_average_error": "px of 256, summed",
    "pck": "% within 6 px of 256",
    "orientation_invariant": "px of 128",
}
"""Evaluation method -> what its number is in."""
MASKED = ("visible", "mean_average_error")
"""The methods that know which landmarks a picture shows."""


ENOUGH = 3
"""Bases without which a verdict would be one on a seed."""


@dataclass(frozen=True)
class Plan:
    """How much a profile does, where 0 means all, or what the settings say.

    settings: its name in `config`. bases: seeds of learning, of which a verdict needs `ENOUGH`; steps: of one
    picture each, and learning_rate: Adam's in them. world: pictures of the splits of a world. most: pictures
    to learn from; fit, test: to regress and to test on; voters: that choose tokens. views: averaged at
    reading; against: another number of them to compare, 0 for none. few: sizes of small sets. parts:
    whether tokens are learned without each of the stage's parts, too. all_forms:
    whether every form of a set is learned on, and all transfers are asked.
    """

    settings: str
    bases: int = 1
    steps: int = 0
    learning_rate: float = 0.0
    world: tuple[int, int] = (600, 200)
    most: int = 2_000
    fit: int = 50_000
    test: int = 0
    voters: int = 100
    views: int = 10
    against: int = 1
    few: tuple[int, ...] = (30, 100)
    parts: bool = True
    all_forms: bool = True


_SMOKE = {"steps": 2, "world": (8, 4), "fit": 6, "test": 4, "voters": 2, "against": 2, "few": (2,)}
_QUICK = {
    "steps": 25,
    "world": (60, 30),
    "fit": 40,
    "test": 20,
    "voters": 8,
    "against": 0,
    "few": (10,),
    "parts": False,
}
_REFERENCE = {
    "steps": 30,
    "world": (100, 30),
    "fit": 60,
    "test": 30,
    "voters": 10,
    "against": 10,
    "few": (30,),
}
_SHORT = {"learning_rate": 0.05, "views": 1}
PLANS = {
    "smoke": Plan("smoke", all_forms=False, **_SHORT, **_SMOKE),
    "quick": Plan("quick", all_forms=False, **_SHORT, **_QUICK),
    "reference": Plan("quick", bases=6, **_SHORT, **_REFERENCE),
    "paper": Plan("paper"),
    "paper-10000": Plan("paper-10000"),
}
"""Profile -> plan; the program learns from all training pictures, and regresses on 50,000 at most.

In a short plan Adam goes ten times as far in a step as with the papers' 0.005, which 30 steps of one picture
need: chosen by trial in a world of seed 0, which is not that of the committed run.
"""


def plan_of(profile: str) -> Plan:
    """A plan by its profile's name."""
    return PLANS[known(profile, tuple(PLANS), "profile")]


def forms(benchmark: str, plan: Plan) -> dict[str, Benchmark]:
    """The set that is asked for by its name, or for "all" the five, with further forms where planned."""
    if benchmark != "all":
        return {benchmark: BENCHMARKS[known(benchmark, ("all", *BENCHMARKS), "benchmark")]}
    return {name: BENCHMARKS[name] for name in FIVE + (FURTHER if plan.all_forms else ())}
