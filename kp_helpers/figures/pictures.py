"""The training pictures of the small model: rendered once into shards on disk, with captions and crops."""

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from kp_helpers.figures.captions import describe, mention
from kp_helpers.figures.naming import Naming, name_pixels
from kp_helpers.figures.render import Picture, render
from kp_helpers.figures.scene import CLOTHES, LIMBS, THINGS, Scene, draw_scene
from kp_helpers.store import replace_file

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
