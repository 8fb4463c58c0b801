"""Which word of a caption names which pixel of its picture, as arrays that a training batch is drawn from."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from kp_helpers.figures.captions import Caption
from kp_helpers.figures.lexicon import CONTEXT_LENGTH, END, START, lexicon
from kp_helpers.figures.render import Picture, limb_number
from kp_helpers.figures.scene import LIMBS

REGIONS = 40
"""Regions of a picture at most; what is beyond that, the smallest ones, is named by nothing."""
SIDE = 64
"""Rows and columns of a map of regions."""
SEGMENT, LIMB, PERSON = range(3)
"""The ways in which a region can be named: as part of a segment, of a limb, and of a whole person."""
_WORDS = {word: number for number, word in enumerate(lexicon())}


@dataclass(frozen=True)
class Naming:
    """Regions are the pixels that agree in segment, limb and person; for n pictures of c captions each:

    regions (n, 64, 64) uint8: the row of `table` that a pixel belongs to.
    table (n, 40, 3) uint8: segment, limb and person of a region, each counted from 1, 0 for none.
    words (n, c, 64) uint8: the caption as places in `tokens.lexicon()`, or START and END.
    names (n, c, 3, 64) uint8: the segment, limb or person that each word names, counted likewise.
    """

    regions: np.ndarray
    table: np.ndarray
    words: np.ndarray
    names: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """The fields by name."""
        return asdict(self)

    def first(self, count: int | None) -> "Naming":
        """That of the first `count` pictures."""
        return Naming(*(array[:count] for array in asdict(self).values()))

    @staticmethod
    def joined(parts: Sequence["Naming"]) -> "Naming":
        """One after the other."""
        fields = zip(*(asdict(part).values() for part in parts), strict=True)
        return Naming(*(np.concatenate(arrays) for arrays in fields))


def name_pixels(picture: Picture, captions: Sequence[Caption]) -> Naming:
    """The naming of one picture (n = 1) and its captions."""
    person = np.array([_person(segment.entity) for segment in picture.table], np.uint8)
    codes = picture.segments.astype(np.int32) * 256 + picture.limbs
    kinds, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:REGIONS]
    rank = np.full(len(kinds), REGIONS, np.uint8)
    rank[order] = np.arange(len(order))
    table = np.zeros((REGIONS, 3), np.uint8)
    segments = kinds[order] // 256
    table[: len(order)] = np.stack([segments + 1, kinds[order] % 256, person[segments]], -1)
    step = picture.segments.shape[0] // SIDE
    regions = rank[inverse.reshape(codes.shape)][step // 2 :: step, step // 2 :: step]
    words, names = zip(*(_named(picture, caption) for caption in captions), strict=True)
    return Naming(regions[None], table[None], np.stack(words)[None], np.stack(names)[None])


def exchange_sides() -> np.ndarray:
    """(256,) uint8: each word's place, that of "left" and "right" exchanged, for mirrored pictures."""
    places = np.arange(256, dtype=np.uint8)
    left, right = _WORDS["left"], _WORDS["right"]
    places[[left, right]] = right, left
    return places


def _named(picture: Picture, caption: Caption) -> tuple[np.ndarray, np.ndarray]:
    """Words (64,) and names (3, 64) of one caption."""
    words = np.full(CONTEXT_LENGTH, END, np.uint8)
    words[0] = START
    names = np.zeros((3, CONTEXT_LENGTH), np.uint8)
    numbers = {(segment.label, segment.entity): segment.number + 1 for segment in picture.table}
    for place, (word, tag) in enumerate(zip(caption.words, caption.tags, strict=True), start=1):
        words[place] = _WORDS[word]
        if tag is None or tag.role == "side":  # a causal text tower reads "left" before it knows of what
            continue
        if tag.label in LIMBS:
            names[LIMB, place] = limb_number(tag.label, _person(tag.entity) - 1)
        elif tag.label == "person":
            names[PERSON, place] = _person(tag.entity)
        else:
            names[SEGMENT, place] = numbers[tag.label, tag.entity]
    return words, names


def _person(entity: str) -> int:
    """1 for "person 0" and so on, 0 for all that is no person."""
    kind, _, number = entity.partition(" ")
    return int(number) + 1 if kind == "person" else 0
