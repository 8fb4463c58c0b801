"""Image files below one folder with the labels of the people in them: what most data sets are."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from kp_helpers.data.errors import known
from kp_helpers.data.images import check_images, read_image, refuse_all
from kp_helpers.data.labels import Labels
from kp_helpers.data.sample import KeypointSample, Samples, why_hidden

HIDDEN, DAMAGED, SMALL = "marked as hidden", "with a damaged image", "too small in the image"
_NOWHERE = (float("nan"), float("nan"))


class LabelledImages(Samples):
    """One `KeypointSample` for each of the `labels`, in their order.

    root: folder that image names are within. names: all keypoints; joints: those to be read, None for all. A
    sample's sequence is its image, so that a draw takes each image once; its box is that of the labels, else
    the whole image. rotation: what to do with an EXIF tag, see `read_image`; it is applied where the labels
    are `upright`. smallest: share of the image's area that a box must have, 0 to ask for no box; others are
    left out.

    Every image is looked at before anything is measured: DataError names all that are missing or damaged
    (skip_damaged leaves the latter out), are turned by an EXIF tag or differ in size from what labels say.
    """

    def __init__(
        self,
        root: str | Path,
        names: Sequence[str],
        labels: Sequence[Labels],
        joints: Sequence[str] | None = None,
        *,
        skip_damaged: bool = False,
        rotation: str = "refuse",
        smallest: float = 0.0,
    ):
        super().__init__()
        self.root = Path(root)
        self.joints = tuple(known(joint, names, "joint") for joint in (names if joints is None else joints))
        self._rotation = rotation
        self._sizes = self._checked(labels, skip_damaged)
        whole = [own for own in labels if own.image in self._sizes]
        self._labels = [own for own in whole if self._share(own) >= smallest]
        self.left_out = {DAMAGED: len(labels) - len(whole), SMALL: len(whole) - len(self._labels)}
        self._why = [self._reasons(own) for own in self._labels]
        self._count(np.array(self._why, dtype=str).reshape(len(self._why), len(self.joints)))

    def __len__(self) -> int:
        return len(self._labels)

    def _sample(self, index: int) -> KeypointSample:
        own, size = self._labels[index], self._sizes[self._labels[index].image]
        path = self.root / own.image
        return KeypointSample(
            name=f"{own.image}/{own.person}",
            image_path=path,
            frame_size=size,
            joints={name: own.points.get(name, _NOWHERE) for name in self.joints},
            visible={name: not why for name, why in zip(self.joints, self._why[index], strict=True)},
            box=own.box or (0.0, 0.0, *map(float, size)),
            skeleton=dict(own.points),
            sequence=own.image,
            person=own.person,
            pixels=partial(read_image, path, rotation=self._turn(own)),
        )

    def _turn(self, own: Labels) -> str:
        return "apply" if own.upright else self._rotation

    def _reasons(self, own: Labels) -> list[str]:
        points = np.array([own.points.get(name, _NOWHERE) for name in self.joints]).reshape(-1, 2)
        why = why_hidden(points, self._sizes[own.image]).tolist()
        return [
            reason or HIDDEN * (name in own.hidden) for name, reason in zip(self.joints, why, strict=True)
        ]

    def _share(self, own: Labels) -> float:
        """Of the image's area, that of the box; 0 where there is none."""
        if own.box is None:
            return 0.0
        (x0, y0, x1, y1), (width, height) = own.box, self._sizes[own.image]
        return (x1 - x0) * (y1 - y0) / (width * height)

    def _checked(self, labels: Sequence[Labels], skip_damaged: bool) -> dict[str, tuple[int, int]]:
        """Image -> size of every image that can be used, or all problems with the images are named."""
        sizes, problems = {}, []
        for turn in dict.fromkeys(map(self._turn, labels)):
            images = {self.root / own.image: own.image for own in labels if self._turn(own) == turn}
            found, wrong = check_images(images, rotation=turn, skip_damaged=skip_damaged)
            sizes |= {images[path]: size for path, size in found.items()}
            problems += wrong
        for image, told in {own.image: own.size for own in labels}.items():
            if image in sizes and told not in (None, sizes[image]):
                path = self.root / image
                problems.append(f"{path}: is {sizes[image]}, expected {told} as its labels say")
        refuse_all(problems)
        return sizes
