"""The training pictures of the small model, rendered once into shards on disk, with captions, crops, and
which word of a caption names which pixel.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from kp_helpers.figures.captions import Caption, describe, mention
from kp_helpers.figures.lexicon import CONTEXT_LENGTH, END, START, lexicon
from kp_helpers.figures.render import Picture, limb_number, render
from kp_helpers.figures.scene import CLOTHES, LIMBS, THINGS, Scene, draw_scene
from kp_helpers.store import replace_file

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


SHARD = 500
TRAINING_SEED, HELD_OUT_SEED = 1_000_000, 2_000_000
"""First scene seeds of the training and of the held-out pictures; the exported sequences have other seeds."""
CAPTIONS = 3
"""Differently worded captions of every training picture; a short one, as people type it, comes after them."""
_LEAST_PIXELS = 12
"""What shows fewer pixels than this is not named: nobody could see it."""


@dataclass(frozen=True)
class Pictures:
    """Training pictures: `images` (n, 128, 128, 3) uint8; for each its captions, and its crops as
    (text, (x0, y0, x1, y1)). `naming` says which word names which pixel.
    """

    images: np.ndarray
    captions: list[list[str]]
    crops: list[list[tuple[str, tuple[int, int, int, int]]]]
    naming: Naming


def visible_pairs(picture: Picture) -> frozenset[tuple[str, str]]:
    """(label, entity) of all that shows enough pixels to be named: classes, limbs and whole people."""
    counts = np.bincount(picture.segments.ravel(), minlength=len(picture.table))
    seen = {(s.label, s.entity) for s in picture.table if counts[s.number] >= _LEAST_PIXELS}
    for number in range(len(picture.people)):
        entity = f"person {number}"
        names = (*LIMBS, "person")
        seen |= {(n, entity) for n in names if picture.mask(n, entity).sum() >= _LEAST_PIXELS}
    return frozenset(seen)


def crops_of(picture: Picture, scene: Scene, least: int = 60) -> list:
    """Square crops round the things and clothes that show `least` pixels, each with a short caption."""
    crops = []
    for segment in picture.table:
        mask = picture.segments == segment.number
        if segment.label not in THINGS + CLOTHES or mask.sum() < least:
            continue
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        crops.append((f"a {segment.colour} {segment.label}", square_box(rows, columns, mask.shape)))
    return crops


def square_box(rows, columns, shape, margin: float = 1.25) -> tuple[int, int, int, int]:
    """A square (x0, y0, x1, y1) round some rows and columns, `margin` times as wide, inside the picture."""
    side = int(min(max(rows[-1] - rows[0], columns[-1] - columns[0], 12) * margin, *shape))
    x0 = int(np.clip((columns[0] + columns[-1] - side) // 2, 0, shape[1] - side))
    y0 = int(np.clip((rows[0] + rows[-1] - side) // 2, 0, shape[0] - side))
    return x0, y0, x0 + side, y0 + side


def make_pictures(folder: Path, count: int, workers: int | None = None) -> None:
    """Render `count` training pictures into `folder`, shard by shard; shards that exist are kept.

    `workers` is the number of processes, all cores by default.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers) as pool:
        jobs = [pool.submit(make_shard, folder, number) for number in range(-(-count // SHARD))]
        for job in tqdm(jobs, desc="training pictures", unit="shard"):
            job.result()


def load_pictures(folder: Path, count: int | None = None) -> Pictures:
    """The first `count` pictures that `make_pictures` wrote, all of them by default.

    Raises FileNotFoundError when there is no finished shard.
    """
    names = sorted(folder.glob("*.json"))
    if not names:
        raise FileNotFoundError(
            f"{folder}: no training pictures found; expected shards written by make_pictures"
        )
    parts = []
    for name in names[: None if count is None else -(-count // SHARD)]:
        parts.append(load_shard(name))
    naming = Naming.joined([part.naming for part in parts]).first(count)
    images = np.concatenate([part.images for part in parts])[:count]
    captions = [row for part in parts for row in part.captions][:count]
    crops = [row for part in parts for row in part.crops][:count]
    return Pictures(images, captions, crops, naming)


def load_shard(path: Path) -> Pictures:
    """The pictures of one shard, named by its .json file."""
    rows = json.loads(path.read_text())
    with np.load(path.with_suffix(".npz")) as arrays:
        naming = Naming(arrays["regions"], arrays["table"], arrays["words"], arrays["names"])
        return Pictures(
            arrays["images"], [row["captions"] for row in rows], [row["crops"] for row in rows], naming
        )


def make_shard(folder: Path, number: int) -> Path:
    """Render shard `number` into `folder` unless it is there; returns the path of its .json file."""
    path = folder / f"{number:03d}.json"
    if path.exists():
        return path
    rows, images, naming = [], [], []
    for seed in range(TRAINING_SEED + number * SHARD, TRAINING_SEED + (number + 1) * SHARD):
        scene = draw_scene(seed)
        picture = render(scene)
        visible = visible_pairs(picture)
        captions = [describe(scene, wording, visible) for wording in range(CAPTIONS)]
        captions.append(mention(scene, 0, visible))
        texts = [caption.text for caption in captions]
        rows.append({"captions": texts, "crops": crops_of(picture, scene)})
        images.append(picture.image)
        naming.append(name_pixels(picture, captions))
    arrays = Naming.joined(naming).arrays() | {"images": np.stack(images)}
    replace_file(path.with_suffix(".npz"), lambda partial: _write_arrays(partial, arrays))
    text = json.dumps(rows)  # written last: its presence says that the shard is whole
    replace_file(path, lambda partial: partial.write_text(text))
    return path


def _write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)
