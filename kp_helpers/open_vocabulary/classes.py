"""Which classes a head is never shown with masks, in three splits, and the phrases that name a class."""

from collections.abc import Sequence

from kp_helpers.figures.palette import COLOURS
from kp_helpers.figures.panoptic import CLASSES

_HIDDEN = (
    ("ball", "umbrella", "trousers", "sand", "sky"),
    ("box", "dog", "shirt", "water", "wall"),
    ("bag", "cone", "tree", "hair", "shoes", "grass", "road"),
)
SPLITS = range(len(_HIDDEN))
_PLACES = ("with a", "on the", "before a", "under the", "wearing")
WORDS = ("{}", "a {}", "the {}", *(f"a person {place} {{}}" for place in _PLACES))
"""Phrases whose last token the U-Net's own attention is asked for."""
LABELS = tuple(f"a {colour} {{}}" for colour in COLOURS)
"""Phrases for CLIP, which learned things from crops that are named like this."""


def hidden(classes: Sequence[str], split: int) -> tuple[str, ...]:
    """The classes that stay unseen in a split: of the figures world a third of each kind, else every third.

    Over the three splits each class is unseen once; skin, which is no thing, garment or ground, never is.
    """
    if set(classes) == set(CLASSES):
        return _HIDDEN[split]
    return tuple(classes[split :: len(_HIDDEN)])


def seen(classes: Sequence[str], split: int) -> tuple[str, ...]:
    """The classes with masks in a split, in their order."""
    return tuple(name for name in classes if name not in hidden(classes, split))
