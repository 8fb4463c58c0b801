"""A small data set in COCO's panoptic format, as its own tools lay it out."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def write_panoptic(
    folder: Path, segments: Sequence[np.ndarray], labels: Sequence[dict[int, str]], things: Sequence[str] = ()
) -> None:
    """Write segments (H, W) of COCO's numbers, and of each picture the class of each number."""
    classes = list(dict.fromkeys(name for own in labels for name in own.values()))
    masks = folder / "annotations" / "panoptic_val"
    masks.mkdir(parents=True)
    (folder / "val").mkdir()
    rng = np.random.default_rng(0)
    annotations, images = [], []
    for number, (own, names) in enumerate(zip(segments, labels, strict=True)):
        coded = np.stack([own % 256, own // 256 % 256, own // 65536], axis=-1).astype(np.uint8)
        Image.fromarray(coded).save(masks / f"{number}.png")
        colours = {key: rng.integers(0, 256, 3) for key in names}
        image = np.stack([[colours.get(key, (0, 0, 0)) for key in row] for row in own.tolist()])
        Image.fromarray(image.astype(np.uint8)).save(folder / "val" / f"{number}.png")
        info = [
            {"id": key, "category_id": classes.index(name) + 1, "iscrowd": 0} for key, name in names.items()
        ]
        annotations.append({"image_id": number, "file_name": f"{number}.png", "segments_info": info})
        images.append({"id": number, "file_name": f"{number}.png"})
    categories = [
        {"id": n + 1, "name": name, "isthing": int(name in things)} for n, name in enumerate(classes)
    ]
    content = {"images": images, "annotations": annotations, "categories": categories}
    masks.with_suffix(".json").write_text(json.dumps(content))
