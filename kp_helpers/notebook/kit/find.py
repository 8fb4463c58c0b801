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
from kp_helpers.heatmaps import inside_mask
from kp_helpers.keypoints import hit_probability, runner_up
from kp_helpers.notebook import display
from kp_helpers.notebook.kit.pictures import Pictures
from kp_helpers.predict import opened
from kp_helpers.reading import read_keypoints
from kp_helpers.store import replace_file

if TYPE_CHECKING:
    from kp_helpers.notebook.kit.learn import Discovered, Taught


@dataclass(frozen=True, repr=False)
class Found:
    """Keypoints on pictures.

    table: picture, keypoint, x, y (pixels of the picture) and score: `keypoints.hit_probability`, that the
    point is within a twentieth of the picture. It was fitted for `teach`'s preset "best" on the figures
    world; of other keypoints and models it ranks pictures, and is no probability.
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

    def to_sleap(self, path: str | Path, like: str | Path | None = None) -> Path:
        """Write SLEAP's .slp with scores, as `to_coco`; like: another .slp, whose limbs are taken over."""
        return self._written(formats.write_slp, path, formats.edges_of(Path(like)) if like else ())

    def to_deeplabcut(self, path: str | Path) -> Path:
        """Write DeepLabCut's CSV with scores as likelihoods, as `to_coco`."""
        return self._written(formats.write_deeplabcut, path)

    def _written(self, write: Callable, path: str | Path, *more) -> Path:
        if self.shots.root is None:
            raise ValueError("these pictures are of no folder, expected those of pictures(FOLDER)")
        scores: list[dict] = [{} for _ in self.shots]
        for row in self.table.itertuples():
            scores[row.number][row.keypoint] = row.score
        return write(path, self.shots.samples, self.points(), self.shots.root, scores, *more)


@torch.no_grad()
def find(
    keypoint: "Taught | Discovered | str | Path", shots: Pictures, model: Diffusion | None = None
) -> Found:
    """A keypoint that was taught, or those that were discovered, on pictures of any size.

    keypoint: also the file that its `save` wrote; then model is the one that it was learned on.

    >>> foot.find(shots).to_csv("feet.csv")
    >>> find("foot.safetensors", shots, load("figures")).show()
    """
    if isinstance(keypoint, str | Path):
        if model is None:
            raise ValueError(f"{keypoint}: model is None, expected the model that it was learned on")
        reader = opened(model, Path(keypoint))
    else:
        model, reader = keypoint.model, keypoint.reader()
    rows = []
    for number in tqdm(range(len(shots)), desc="find", unit="picture"):
        framed = shots[number : number + 1].framed(model.image_size)
        maps = reader.maps(framed.images)
        points = read_keypoints(maps, reader.settings, framed.inside).cpu()
        mask = inside_mask(framed.inside, maps.shape[-1])
        sure = hit_probability(runner_up(maps.cpu(), points, inside=mask)).tolist()
        for name, place, score in zip(reader.names, points, sure, strict=True):
            x, y = framed.squares[0].to_frame(place.double()).tolist()
            about = {"number": number, "picture": shots[number].name, "keypoint": name}
            rows.append({**about, "x": x, "y": y, "score": score})
    return Found(shots, pd.DataFrame(rows))
