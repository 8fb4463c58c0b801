"""Ideas beyond the paper: each a change of the settings, measured alone, then added to the best one by one.

All of it is done on validation pictures, by rules that are fixed before the numbers; test pictures are for
what was chosen.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from kp_helpers.evaluate.measures import ALL
from kp_helpers.evaluate.scores import differences
from kp_helpers.evaluate.sweep import Variant

GOAL = "within_square"
"""Column of `score` that ideas are chosen by."""
PARTS = ("appended", "test", "reading")


@dataclass(frozen=True)
class Idea:
    """A named change of the settings of learning (`appended`), of the test (`test`) and of both readings.

    group: what it is about.
    """

    name: str
    group: str
    appended: Mapping = field(default_factory=dict)
    test: Mapping = field(default_factory=dict)
    reading: Mapping = field(default_factory=dict)

    @property
    def changed(self) -> set[tuple[str, str]]:
        """The settings that it changes, each with the part of the profile that it belongs to."""
        return {(part, name) for part in PARTS for name in getattr(self, part)}


def combined(name: str, ideas: Sequence[Idea]) -> Variant:
    """All changes of the ideas at once; ValueError where two of them change one setting."""
    changes: dict[str, dict] = {part: {} for part in PARTS}
    for idea in ideas:
        for part, own in changes.items():
            twice = own.keys() & getattr(idea, part).keys()
            if twice:
                raise ValueError(f"{name}: {idea.name!r} changes {min(twice)!r}, as an idea before it does")
            own |= getattr(idea, part)
    return Variant(name, **changes)


def over_joints(scores: pd.DataFrame, name: str = "all joints") -> pd.DataFrame:
    """The rows of all joints as those of one, so that `report` and `differences` give the mean over joints.

    A joint counts by its predictions: the mean of the joints' means where all have as many. Intervals draw a
    run's pictures of one sequence together, whichever joints they are of.
    """
    return scores.assign(joint=name)


def gains(scores: pd.DataFrame, default: str, ideas: Sequence[Idea], column: str = GOAL) -> pd.DataFrame:
    """Each idea minus the default on the same pictures of the same runs, over all joints, best first.

    Columns group, idea, then as `differences` has them in percent points.
    """
    pooled, rows = over_joints(scores), []
    for idea in ideas:
        row = differences(pooled, idea.name, [default], {column: ALL[column]})
        rows.append(row.assign(group=idea.group, idea=idea.name))
    columns = ["group", "idea", "difference", "low", "high", "p", "runs", "n"]
    return pd.concat(rows)[columns].sort_values(
        "difference", ascending=False, kind="stable", ignore_index=True
    )


def candidates(gains: pd.DataFrame, ideas: Sequence[Idea]) -> list[Idea]:
    """The ideas whose mean difference is positive, best first, but for those that change a setting which one
    above them changes already.
    """
    by_name, taken, changed = {idea.name: idea for idea in ideas}, [], set()
    for row in gains[gains["difference"] > 0].itertuples():
        idea = by_name[row.idea]
        if not idea.changed & changed:
            taken.append(idea)
            changed |= idea.changed
    return taken


def greedy(
    ordered: Sequence[Idea], value_of: Callable[[list[Idea]], float]
) -> Iterator[tuple[list[Idea], float, bool]]:
    """Add idea after idea to the first, and keep each with which the value is higher than without.

    value_of: what a list of ideas gives together. Yields each list that was tried, its value, and whether it
    is kept; the last that is kept is the combination.
    """
    kept, best = [], -float("inf")
    for idea in ordered:
        value = value_of([*kept, idea])
        higher = value > best
        kept, best = ([*kept, idea], value) if higher else (kept, best)
        yield kept if higher else [*kept, idea], value, higher
