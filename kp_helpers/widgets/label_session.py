"""Labelling a folder of pictures, without a page: which picture and joint is at hand, and what comes next."""

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from kp_helpers.data import DataError, ImageFolder
from kp_helpers.data.errors import known
from kp_helpers.data.folder import image_names
from kp_helpers.data.images import check_images, read_image
from kp_helpers.data.labels import image_name
from kp_helpers.widgets.label_file import ABSENT, HIDDEN, VISIBLE, LabelFile, Mark


class LabelSession:
    """What `KeypointLabeler` shows and changes.

    folder: of pictures, shown upright as viewers turn them. joints: the names to be labelled. file: a .json
    in COCO's layout, opened if it is there and written after every decision.

    pictures: paths within the folder, those that can be read; skipped: a sentence for each that cannot.
    picture, joint: at hand; at the start the first with anything undecided. state: "visible" or "hidden", of
    the next position that is given; "visible" again behind it.
    """

    def __init__(self, folder: str | Path, joints: Sequence[str], file: str | Path):
        self.folder, self.joints = Path(folder), _names(joints)
        self.file = LabelFile(file, self.joints)
        self.pictures, self.skipped = _usable(self.folder)
        self.state, self._undone = VISIBLE, []
        undecided = [picture for picture in self.pictures if not self.is_done(picture)]
        self._open((undecided or self.pictures or [""])[0])

    def image(self) -> torch.Tensor:
        """The picture at hand, upright, float32 RGB (3, H, W) in [0,1]."""
        return self._image

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the picture at hand in pixels."""
        return self._image.shape[2], self._image.shape[1]

    def marks(self) -> dict[str, Mark]:
        """Joint -> what is decided of it in the picture at hand."""
        return self.file.marks(self.picture)

    def is_done(self, picture: str) -> bool:
        """Whether every joint of the picture is decided."""
        return len(self.file.marks(picture)) == len(self.joints)

    def progress(self) -> tuple[int, int]:
        """How many pictures are done, and how many there are."""
        return sum(map(self.is_done, self.pictures)), len(self.pictures)

    def choose(self, joint: str) -> None:
        """Make a joint the one at hand."""
        self.joint = known(joint, self.joints, "joint")

    def choose_state(self, state: str) -> None:
        """State of the next position: "visible" or "hidden"."""
        self.state = known(state, (VISIBLE, HIDDEN), "state")

    def place(self, x: float, y: float) -> None:
        """The joint at hand is at (x, y) in pixels of the picture; the next undecided one is at hand then."""
        for name, value, side in zip("xy", (x, y), self.size, strict=True):
            if not (math.isfinite(value) and 0 <= value < side):
                raise DataError(f"{name} is {value:g}, expected 0 to below {side}, pixels of {self.picture}")
        self._decide(Mark(self.state, (float(x), float(y))))

    def set_absent(self) -> None:
        """The joint at hand is not in the picture."""
        self._decide(Mark(ABSENT))

    def undo(self) -> None:
        """Take back the last decision that was made here, in whichever picture it was."""
        if not self._undone:
            raise DataError("nothing was decided here yet that could be undone")
        picture, joint, before = self._undone[-1]
        self._open(picture)
        if self.picture != picture:
            raise DataError(f"{picture}: cannot be read any more, its labels stay as they are")
        self.file.put(picture, self.size, joint, before)
        self._undone.pop()
        self.joint = joint

    def move(self, step: int) -> None:
        """To the picture `step` places on, or back where it is negative; stays within the first and last."""
        at = min(max(self.pictures.index(self.picture) + step, 0), len(self.pictures) - 1)
        self._open(self.pictures[at], back=step < 0)

    def reload(self) -> None:
        """Go on with what the file holds now, which someone else may have changed; that is not undone."""
        self.file.reload()
        self._undone.clear()
        self._open(self.picture)

    def samples(self) -> ImageFolder:
        """The labelled pictures as a data set; DataError if a joint has no position in any of them yet."""
        marks = [self.file.marks(picture) for picture in self.pictures]
        missing = [j for j in self.joints if not any(own[j].point for own in marks if j in own)]
        if missing:
            told = f"holds no position of {', '.join(missing)} yet; label some pictures first"
            raise DataError(f"{self.file.path}: {told}")
        return ImageFolder(self.folder, self.file.path, self.joints, skip_damaged=True, upright=True)

    def _decide(self, mark: Mark) -> None:
        before = self.marks().get(self.joint)
        self.file.put(self.picture, self.size, self.joint, mark)
        self._undone.append((self.picture, self.joint, before))
        self.joint, self.state = self._next_joint(), VISIBLE

    def _next_joint(self) -> str:
        """The first undecided joint behind the one at hand, else the one at hand."""
        at, marks = self.joints.index(self.joint), self.marks()
        undecided = [joint for joint in self.joints[at:] + self.joints[:at] if joint not in marks]
        return (undecided or [self.joint])[0]

    def _open(self, picture: str, *, back: bool = False) -> None:
        """Make a picture the one at hand, or the nearest that can be read; those that cannot are skipped."""
        while self.pictures:
            try:
                self._image = read_image(self.folder / picture, rotation="apply")
            except DataError as error:
                self.skipped.append(str(error))
                self._undone = [one for one in self._undone if one[0] != picture]
                at = self.pictures.index(picture) - back
                self.pictures.remove(picture)
                picture = self.pictures[min(max(at, 0), len(self.pictures) - 1)] if self.pictures else ""
            else:
                self.picture, self.joint = picture, self.joints[0]
                self.joint = self._next_joint()
                return
        raise DataError("\n".join([f"{self.folder}: no picture can be read:", *self.skipped]))


def _names(joints: Sequence[str]) -> tuple[str, ...]:
    names = tuple(joints)
    if not names or len(set(names)) < len(names) or not all(type(n) is str and n.strip() for n in names):
        raise DataError(f"joints are {joints!r}, expected a list of different names")
    return names


def _usable(folder: Path) -> tuple[list[str], list[str]]:
    """Names of the pictures that can be labelled, and a sentence for each that cannot."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of images")
    names, skipped = [], []
    for name in image_names(folder):
        try:
            names.append(image_name(f"{folder}: a picture's name", name))
        except DataError as error:
            skipped.append(str(error))
    sizes, problems = check_images([folder / name for name in names], rotation="apply")
    return [name for name in names if folder / name in sizes], skipped + problems
