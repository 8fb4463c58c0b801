"""Edits of the figures world: a scene before and after, told as an instruction and as two captions.

Every word of an instruction is one token of the world's tokenizer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np
import torch

from kp_helpers.figures.captions import describe
from kp_helpers.figures.edit_kinds import DRAWERS
from kp_helpers.figures.palette import COLOURS
from kp_helpers.figures.pictures import visible_pairs
from kp_helpers.figures.render import Picture, render
from kp_helpers.figures.scene import CLOTHES, THINGS, Scene, draw_scene

TEMPLATES: dict[str, tuple[str, ...]] = {
    "thing colour": (
        "make the {noun} {colour}",
        "turn the {old} {noun} into {a_colour} {noun}",
        "paint the {noun} {colour}",
        "change the {noun} to {colour}",
        "make it {a_colour} {noun}",
    ),
    "clothes colour": (
        "make the {noun} {colour}",
        "give the person {some_colour} {noun}",
        "change the {old} {noun} into {some_colour} {noun}",
        "put the person in {some_colour} {noun}",
        "turn the {noun} {colour}",
    ),
    "add": (
        "add {a_colour} {noun} on the {side}",
        "put {a_colour} {noun} on the {side}",
        "put {a_colour} {noun} on the {side} side",
        "add {a_colour} {noun} to the {side}",
    ),
    "remove": (
        "remove the {noun}",
        "remove the {old} {noun}",
        "remove the {noun} from the picture",
        "remove the {old} {noun} from it",
    ),
    "exchange": (
        "replace the {old_noun} by {a_colour} {noun}",
        "turn the {old_noun} into {a_colour} {noun}",
        "change the {old} {old_noun} into {a_colour} {noun}",
        "replace the {old} {old_noun} with {a_colour} {noun}",
    ),
    "ground": (
        "replace the {old_noun} by {noun}",
        "put it on {noun}",
        "turn the {old_noun} into {noun}",
        "change the {old_noun} to {noun}",
    ),
    "backdrop": (
        "replace {old} by {what}",
        "put {what} behind the person",
        "turn {old} into {what}",
        "change {old} to {what}",
    ),
    "motion": (
        "make the person {motion}",
        "change the {old} person into a {motion} person",
        "turn it into a picture of a {motion} person",
        "change {old} to {motion}",
    ),
}
"""Kind of edit -> its wordings, of which the last is kept out of the training."""
_NOUNS = (*THINGS, *CLOTHES, "wall")
_SINGULAR = (*THINGS, "shirt", "wall")


def phrase(template: str, words: dict[str, str]) -> str:
    """A template filled in: `a_colour` and `some_colour` are the colour with its article, if it takes one."""
    colour = words.get("colour", "")
    article = "an" if colour[:1] in "aeiou" else "a"
    filled = dict(words, a_colour=f"{article} {colour}")
    filled["some_colour"] = filled["a_colour"] if words.get("noun") in _SINGULAR else colour
    return template.format(**filled)


def held_out_pair(words: dict[str, str]) -> bool:
    """Whether colour and noun are one of the pairs that no training instruction holds: one colour a noun."""
    if words.get("colour") is None or words.get("noun") not in _NOUNS:
        return False
    return list(COLOURS).index(words["colour"]) == 2 * _NOUNS.index(words["noun"]) % len(COLOURS)


KINDS = tuple(TEMPLATES)
TRAINING, TESTING = 3_000_000, 4_000_000
"""First seeds of the edits that are trained on and of those that are measured."""
LEAST_PIXELS = 40
"""What is to be changed, or read afterwards, shows at least as many pixels."""
_WORDINGS = 20
_COLOURED = ("thing colour", "clothes colour", "backdrop")


@dataclass(frozen=True)
class Edit:
    """One edit. kind: of `KINDS`. words: what the instruction's templates are filled with. attribute:
    (label, entity) of what changes. caption, edited: of both pictures, in the same wording.
    """

    kind: str
    before: Scene
    after: Scene
    pictures: tuple[Picture, Picture]
    words: dict[str, str]
    attribute: tuple[str, str]
    caption: str
    edited: str

    @property
    def held_out(self) -> bool:
        """Whether its colour and noun never stand together in a training instruction."""
        return held_out_pair(self.words)

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool: pixels that the renderer draws differently after the edit."""
        old, new = (picture.image for picture in self.pictures)
        return (old != new).any(axis=-1)

    def instruction(self, wording: int = 0) -> str:
        """The instruction in one of its wordings; the last of `TEMPLATES[kind]` is never trained on."""
        return phrase(TEMPLATES[self.kind][wording], self.words)


def draw_edit(seed: int, kind: str, combination: bool | None = False) -> Edit:
    """The edit of `kind` that a seed stands for, of a scene with one person.

    combination: False for pairs of colour and noun that are trained on, True for the others, None for any.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, expected one of {', '.join(KINDS)}")
    rng = np.random.default_rng([seed, 41])
    while True:
        before = draw_scene(int(rng.integers(2**31)))
        if len(before.people) > 1:
            continue
        drawn = DRAWERS[kind](before, rng)
        if drawn is None:
            continue
        after, words, attribute = drawn
        if combination is not None and held_out_pair(words) != combination:
            continue
        pictures = (render(before), render(after))
        captions = _captions((before, after), pictures, kind, words, attribute)
        if captions:
            return Edit(kind, before, after, pictures, words, attribute, *captions)


def edits(count: int, first: int = TESTING, combination: bool | None = False) -> list[Edit]:
    """`count` edits, each kind as often as the others; `first` is the seed of the first."""
    return [draw_edit(first + n, KINDS[n % len(KINDS)], combination) for n in range(count)]


def images_of(edits: Sequence[Edit], side: int) -> torch.Tensor:
    """Pictures (n, 3, H, W) float32 in [0,1] before the edits (side 0), or after them (side 1)."""
    pictures = np.stack([edit.pictures[side].image for edit in edits])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


def training_instructions(edit: Edit) -> list[str]:
    """All wordings but the one that is kept out of the training."""
    return [edit.instruction(wording) for wording in range(len(TEMPLATES[edit.kind]) - 1)]


def training_pairs(first: int, count: int) -> tuple[torch.Tensor, torch.Tensor, list[list[str]]]:
    """Pictures before and after, (count, 3, H, W) in [0,1], and instructions of training edits."""
    drawn = [draw_edit(TRAINING + n, KINDS[n % len(KINDS)]) for n in range(first, first + count)]
    return images_of(drawn, 0), images_of(drawn, 1), [training_instructions(edit) for edit in drawn]


def _captions(
    scenes, pictures, kind: str, words: dict[str, str], attribute: tuple[str, str]
) -> tuple[str, str] | None:
    """Captions in the first wording that tells the change; None where the edit shows too little, or hides
    something.
    """
    old, new = (visible_pairs(picture) for picture in pictures)
    hidden = _named_labels(old) - _named_labels(new)
    if kind in ("remove", "exchange"):
        hidden -= {attribute[0]}
    shown = pictures[1 if kind in ("add", "ground", "backdrop") else 0].mask(*attribute)
    changed = (pictures[0].image != pictures[1].image).any(axis=-1)
    if min(shown.sum(), changed.sum()) < LEAST_PIXELS or (hidden and kind != "motion"):
        return None
    return _least_different(scenes, (old, new), kind, words)


def _least_different(scenes, visible, kind: str, words: dict[str, str]) -> tuple[str, str] | None:
    """Of several wordings that name what changes, the one whose captions differ in the fewest words."""
    key = words.get("motion" if kind == "motion" else "noun" if kind not in _COLOURED else "colour", "sky")
    told: dict[tuple[str, str], int] = {}
    for wording in range(_WORDINGS):
        said = tuple(
            describe(scene, wording, shown).words for scene, shown in zip(scenes, visible, strict=True)
        )
        parts = SequenceMatcher(None, *said, autojunk=False).get_opcodes()
        changed = [
            word for tag, i, j, k, m in parts if tag != "equal" for word in said[0][i:j] + said[1][k:m]
        ]
        if key in changed:
            told[tuple(" ".join(one).replace(" ,", ",") for one in said)] = len(changed)
    return min(told, key=told.get) if told else None


def _named_labels(pairs: frozenset[tuple[str, str]]) -> set[str]:
    """Things and clothes among (label, entity) pairs; numbers of things move where one is removed."""
    return {label for label, _ in pairs if label in THINGS + CLOTHES}
