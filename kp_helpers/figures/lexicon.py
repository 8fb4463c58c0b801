"""Every word that a caption, or an instruction to change a picture, can hold."""

from kp_helpers.figures.captions import FACING_WORDS, LONGEST, MOTION_WORDS
from kp_helpers.figures.limb_states import LIMB_WORDS
from kp_helpers.figures.palette import COLOURS, GROUNDS
from kp_helpers.figures.scene import CLOTHES, LIMBS, THINGS

CONTEXT_LENGTH = LONGEST + 2
"""Tokens of a caption, start and end included."""
START, END = 254, 255
"""What stands for the start and the end token where captions are places in the lexicon."""
_OTHER_WORDS = [
    "a",
    "an",
    "the",
    "person",
    "people",
    "someone",
    "two",
    "with",
    "wearing",
    "in",
    "dressed",
    "is",
    "and",
    "seen",
    "viewed",
    "beside",
    "next",
    "to",
    "near",
    "on",
    "under",
    "before",
    "front",
    "of",
    "skin",
    "sky",
    "wall",
    ",",
    ".",
    "photo",
    "picture",
    "bare",
]
_INSTRUCTIONS = (
    "make",
    "turn",
    "change",
    "paint",
    "replace",
    "add",
    "remove",
    "put",
    "give",
    "into",
    "it",
    "by",
)
"""No caption holds them, but a model that is taught to follow instructions needs each as one token."""


def lexicon() -> list[str]:
    """All words: those of captions, sorted, then those of instructions."""
    words = {*COLOURS, *GROUNDS, *THINGS, *CLOTHES, *_OTHER_WORDS}
    groups = (FACING_WORDS.values(), LIMBS, *MOTION_WORDS.values(), *LIMB_WORDS.values())
    for phrase in (phrase for group in groups for phrase in group):
        words.update(phrase.split())
    return [*sorted(words), *_INSTRUCTIONS]
