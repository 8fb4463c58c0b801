"""`find`: keypoints on pictures, with scores, in pixels of each picture."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from kp_helpers.data import formats, write_coco
from kp_helpers.diffusion import Diffusion
from kp_helpers.notebook import display
from kp_helpers.notebook.kit.pictures import WHOLE, Pictures
from kp_helpers.predict import Reader, opened, together
from kp_helpers.store import replace_file

if TYPE_CHECKING:
    from kp_helpers.notebook.kit.learn import Discovered, Taught


@dataclass(frozen=True, repr=False)
class Found:
    """Keypoints on pictures.

    table: picture, keypoint, x, y (pixels of the picture) and score, as of `predict.Located`.
    """

    shots: Pictures
    table: pd.DataFrame

    def __repr__(self) -> str:
        return self.table.drop(columns="number").round(2).to_string(index=False)

    def points(self) -> list[dict[str, tuple[float, float]]]:
        """Of each picture its keypoints, name -> (x, y) in pixels of it."""
        found: list[dict] = [{} for _ in self.shots]
        for row in self.table.itertuples():
            found[row.number][row.keypoint] = (row.x, row.y)
        return found

    def show(self, count: int = 10) -> Figure:
        """The first pictures with their keypoints."""
        few, size = self.shots[:count], 256
        framed = few.framed(size)
        names = list(dict.fromkeys(self.table["keypoint"]))
        pairs = list(zip(framed.squares, self.points(), strict=False))
        places = {n: torch.stack([square.to_square(own[n]) for square, own in pairs]) for n in names}
        if len(names) > len(display.COLOURS):
            each = torch.stack(list(places.values()), dim=1)
            return display.numbered(framed.images, each)
        return display.keypoints(framed.images, places)

    def to_csv(self, path: str | Path) -> Path:
        """Write the table."""
        shown = self.table.drop(columns="number")
        return replace_file(Path(path), lambda partial: shown.to_csv(partial, index=False))

    def to_coco(self, path: str | Path) -> Path:
        """Write COCO's JSON, one annotation a picture, with a score for each point and their mean; of
        pictures of a folder only.
        """
        return self._written(write_coco, path)

    def to_labels(self, path: str | Path, like: str | Path) -> Path:
        """Write for another tool. like: a file of labels, whose format, skeleton and names of pictures are
        taken over; or "SLEAP", "DeepLabCut", "Label Studio", "YOLO" or "CVAT".
        """
        return self._written(formats.write_labels, path, like)

    def _written(self, write: Callable, path: str | Path, *more) -> Path:
        if self.shots.root is None:
            raise ValueError("these pictures are of no folder, expected those of pictures(FOLDER)")
        scores: list[dict] = [{} for _ in self.shots]
        for row in self.table.itertuples():
            scores[row.number][row.keypoint] = row.score
        return write(path, self.shots.samples, self.points(), self.shots.root, scores, *more)


def find(keypoint, shots: Pictures, model: Diffusion | None = None) -> Found:
    """A keypoint that was taught, those that were discovered, or several that were taught with one preset,
    which share the passes of the U-Net; on pictures of any size.

    keypoint: what `teach` or `discover` returned, or the file that its `save` wrote; then model is the one
    that it was learned on. A list of them is read at once.

    >>> foot.find(shots).to_csv("feet.csv")
    >>> find([foot, head], shots).show()
    >>> find("foot.safetensors", shots, load("figures")).show()
    """
    several = keypoint if isinstance(keypoint, list | tuple) else [keypoint]
    reader = together([_reader(one, model) for one in several])
    rows = []
    for number, shot in enumerate(tqdm(shots, desc="find", unit="picture")):
        located = reader.locate(shot, WHOLE)
        for name, (x, y) in located.points.items():
            about = {"number": number, "picture": shot.name, "keypoint": name}
            rows.append({**about, "x": x, "y": y, "score": located.scores[name]})
    return Found(shots, pd.DataFrame(rows))


def _reader(keypoint: "Taught | Discovered | str | Path", model: Diffusion | None) -> Reader:
    if not isinstance(keypoint, str | Path):
        return keypoint.reader()
    if model is None:
        raise ValueError(f"{keypoint}: model is None, expected the model that it was learned on")
    return opened(model, Path(keypoint))
