"""`find`: keypoints on pictures, with scores, in pixels of each picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch
import torch.nn.functional as F
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


DOUBTFUL = 0.5
"""The score below which a point is taken to be as likely wrong as right."""


@dataclass(frozen=True, repr=False)
class Found:
    """Keypoints on pictures.

    table: picture, keypoint, x, y (pixels of the picture) and score, as of `predict.Located`. reader: that
    found them.
    """

    shots: Pictures
    table: pd.DataFrame
    reader: Reader

    def __repr__(self) -> str:
        return self.table.drop(columns="number").round(2).to_string(index=False)

    def points(self) -> list[dict[str, tuple[float, float]]]:
        """Of each picture its keypoints, name -> (x, y) in pixels of it."""
        return self._by_picture(lambda row: (row.x, row.y))

    def scores(self) -> list[dict[str, float]]:
        """Of each picture the scores of its keypoints by their names."""
        return self._by_picture(lambda row: row.score)

    def doubtful(self) -> pd.DataFrame:
        """The rows whose score is below `DOUBTFUL`, the least sure first."""
        return self.table[self.table["score"] < DOUBTFUL].sort_values("score", kind="stable")

    def show(self, count: int = 10) -> Figure:
        """The first pictures with their keypoints; a question mark stands at one that is doubtful."""
        few, size = self.shots[:count], 256
        framed = few.framed(size)
        names = list(dict.fromkeys(self.table["keypoint"]))
        pairs = list(zip(framed.squares, self.points(), strict=False))
        places = {n: torch.stack([square.to_square(own[n]) for square, own in pairs]) for n in names}
        if len(names) > len(display.COLOURS):
            each = torch.stack(list(places.values()), dim=1)
            return display.numbered(framed.images, each)
        doubts = {name: [own[name] < DOUBTFUL for own in self.scores()[:count]] for name in names}
        return display.keypoints(framed.images, places, doubtful=doubts)

    def maps(self, number: int) -> Figure:
        """A picture, and the map that each of its keypoints was read from."""
        framed = self.shots[number : number + 1].framed(self.reader.diffusion.image_size)
        maps = dict(zip(self.reader.names, self.reader.maps(framed.images).cpu(), strict=True))
        return display.heat_maps(framed.images[0], maps, title=self.shots[number].name)

    @torch.no_grad()
    def next_to_label(self, labelled: Sequence[int]) -> int:
        """The number in the table of a picture to label next; labelled: those that have a label.

        It is the one with the largest product of its doubt, 1 - the mean of its scores, and how little it
        looks like the nearest labelled one: the distance of their latents, averaged over 8 x 8 squares. That
        its label teaches more than that of another picture is not shown.
        """
        rest = [number for number in range(len(self.shots)) if number not in set(labelled)]
        if not rest or not labelled:
            found = f"{len(labelled)} of {len(self.shots)} pictures are labelled"
            raise ValueError(f"{found}, expected some with a label and some without")
        model = self.reader.diffusion
        looks = []
        for number in range(len(self.shots)):
            framed = self.shots[number : number + 1].framed(model.image_size)
            looks.append(F.adaptive_avg_pool2d(model.encode_image(framed.images), 8).flatten().float().cpu())
        known = torch.stack([looks[number] for number in labelled])
        unlike = torch.cdist(torch.stack(looks), known).amin(dim=1).tolist()
        doubt = [1 - sum(own.values()) / len(own) for own in self.scores()]
        return max(rest, key=lambda number: doubt[number] * unlike[number])

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
        return write(path, self.shots.samples, self.points(), self.shots.root, self.scores(), *more)

    def _by_picture(self, what: Callable) -> list[dict]:
        found: list[dict] = [{} for _ in self.shots]
        for row in self.table.itertuples():
            found[row.number][row.keypoint] = what(row)
        return found


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
    return Found(shots, pd.DataFrame(rows), reader)


def _reader(keypoint: "Taught | Discovered | str | Path", model: Diffusion | None) -> Reader:
    if not isinstance(keypoint, str | Path):
        return keypoint.reader()
    if model is None:
        raise ValueError(f"{keypoint}: model is None, expected the model that it was learned on")
    return opened(model, Path(keypoint))
