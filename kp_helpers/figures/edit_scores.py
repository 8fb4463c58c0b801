"""Scores of edited pictures: was the asked attribute changed, and nothing else; and their tables."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from scipy.ndimage import binary_dilation

from kp_helpers.figures.attributes import Reader
from kp_helpers.figures.edits import KINDS, Edit, images_of
from kp_helpers.figures.judge import Judge
from kp_helpers.intervals import wilson

OWN, FLOOR = "instructed", "autoencoder"
"""The way that the tables are about, and the right pictures as the autoencoder gives them."""
_EDGE = 4
"""Pixels by which a change mask is widened: the autoencoder mixes that far."""


@dataclass
class Scores:
    """Of n edited pictures: whether the asked attribute changed and all others were kept; mean absolute
    errors in [0, 1] inside and outside of the change mask; and cosines of a CLIP, of directions and of
    pictures.
    """

    changed: list[bool] = field(default_factory=list)
    kept: list[bool] = field(default_factory=list)
    inside: list[float] = field(default_factory=list)
    outside: list[float] = field(default_factory=list)
    direction: list[float] = field(default_factory=list)
    pictures: list[float] = field(default_factory=list)

    def shares(self) -> dict[str, tuple[float, float, float]]:
        """`attribute changed`, `others kept`, and both of one picture: each with its 95 % interval."""
        both = [one and other for one, other in zip(self.changed, self.kept, strict=True)]
        named = {"attribute changed": self.changed, "others kept": self.kept, "changed and others kept": both}
        found = {name: wilson(sum(hits), len(hits)) for name, hits in named.items()}
        return {name: (one.value, one.low, one.high) for name, one in found.items()}


def score(edits: Sequence[Edit], readers: Sequence[Reader], images: torch.Tensor, judge: Judge) -> Scores:
    """Scores of edited images (n, 3, H, W) in [0,1], one of each edit.

    A change of the pictures that is exactly none has no direction and counts as 0.
    """
    before, after = images_of(edits, 0), images_of(edits, 1)
    readings = [
        reader.read(255 * image.permute(1, 2, 0).numpy())
        for reader, image in zip(readers, images, strict=True)
    ]
    masks = [binary_dilation(edit.mask, iterations=_EDGE) for edit in edits]
    errors = (images - after).abs().mean(dim=1).numpy()
    seen = judge.similarities(
        before, images, [edit.caption for edit in edits], [edit.edited for edit in edits]
    )
    return Scores(
        changed=[bool(reading.changed) for reading in readings],
        kept=[not reading.lost for reading in readings],
        inside=[float(error[mask].mean()) for error, mask in zip(errors, masks, strict=True)],
        outside=[
            float(error[~mask].mean()) if not mask.all() else 0.0
            for error, mask in zip(errors, masks, strict=True)
        ],
        direction=seen.direction.tolist(),
        pictures=seen.pictures.tolist(),
    )


def table(scores: dict[str, Scores]) -> pd.DataFrame:
    """A row a way: percents with intervals, errors over the autoencoder's, cosines of a CLIP."""
    rows = {}
    for name, one in scores.items():
        n = len(one.changed)
        row = {
            share: "{:.0f} [{:.0f}, {:.0f}]".format(*(100 * bound for bound in bounds))
            for share, bounds in one.shares().items()
        }
        if FLOOR in scores and name != "held-out combinations":  # those are other edits
            floor = scores[FLOOR]
            row["error outside"] = np.mean(one.outside) / np.mean(floor.outside[:n])
            row["error inside"] = np.mean(one.inside) / np.mean(floor.inside[:n])
        rows[name] = row | {"direction": np.mean(one.direction), "pictures": np.mean(one.pictures), "n": n}
    return pd.DataFrame(rows).T.rename_axis("way")


def by_kind(scores: Scores) -> pd.DataFrame:
    """Percent changed, kept, and both by kind of edit, and how many there are."""
    rows = pd.DataFrame({"changed": scores.changed, "kept": scores.kept})
    rows["both"] = rows["changed"] & rows["kept"]
    groups = rows.groupby([KINDS[n % len(KINDS)] for n in range(len(rows))], sort=False)
    return (100 * groups.mean()).assign(n=groups.size()).rename_axis("kind")


def metrics(scores: dict[str, Scores]) -> list[dict]:
    """Rows for `metrics.json`: of the instructed model by the measure's name alone, of others with theirs."""
    rows = []
    for name, one in scores.items():
        for share, (value, low, high) in one.shares().items():
            full = share if name == OWN else f"{share}, {name}"
            row = {"name": full, "value": 100 * value, "interval": (100 * low, 100 * high), "unit": "%"}
            rows.append(row | {"n": len(one.changed), "method": name, "measure": share})
    own, floor = scores[OWN], scores[FLOOR]
    ratio = float(np.mean(own.outside) / np.mean(floor.outside))
    row = {"name": "error outside the change mask over the autoencoder's", "value": ratio}
    return [*rows, row | {"n": len(own.outside), "method": OWN}]
