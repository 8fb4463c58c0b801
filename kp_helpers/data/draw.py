"""Drawing frames by seed, each from a sequence of its own, so that no two show the same scene."""

from collections.abc import Collection, Sequence

import numpy as np

from kp_helpers.data.errors import DataError
from kp_helpers.data.sample import KeypointSample


def draw(
    samples: Sequence[KeypointSample],
    count: int,
    seed: int | Sequence[int],
    *,
    visible: Collection[str] = (),
    without: Collection[str] = (),
) -> list[int]:
    """Indices of `count` samples from distinct sequences, the same for the same seed.

    visible: joints that each of them must show; without: sequences that are not drawn from. Raises DataError
    where there are fewer such sequences than asked for.
    """
    by_sequence: dict[str, list[int]] = {}
    for index, sample in enumerate(samples):
        if sample.sequence not in without and all(sample.visible[joint] for joint in visible):
            by_sequence.setdefault(sample.sequence, []).append(index)
    if len(by_sequence) < count:
        shown = f" that show {', '.join(visible)}" if visible else ""
        raise DataError(f"{len(by_sequence)} sequences{shown}, expected at least {count} to draw from")
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(sorted(by_sequence))[:count]
    return [by_sequence[name][rng.integers(len(by_sequence[name]))] for name in chosen]
