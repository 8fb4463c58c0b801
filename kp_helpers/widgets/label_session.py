"""Labelling a folder of pictures, without a page: what is at hand, what comes next, and its file."""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from kp_helpers.data import DataError, ImageFolder
from kp_helpers.data.coco import read_coco
from kp_helpers.data.folder import image_names, unread
from kp_helpers.data.images import check_images, read_image
from kp_helpers.data.labels import extent, image_name
from kp_helpers.data.sample import Point
from kp_helpers.metrics.lengths import box_area
from kp_helpers.store import replace_file

VISIBLE, HIDDEN, ABSENT = "visible", "hidden", "absent"
CODES = {VISIBLE: 2, HIDDEN: 1, ABSENT: 0}
"""COCO's third number of a keypoint. 0 is also a joint that nobody has looked for yet: which ones were looked
for and are not there stands under the annotation's own key `absent`, which other readers pass over."""


class Mark(NamedTuple):
    """What was decided of a joint in a picture: "visible" or "hidden" at (x, y) in pixels, or "absent"."""

    state: str
    point: Point | None = None


class LabelSession:
    """What `KeypointLabeler` shows and changes.

    folder: of pictures, shown upright as viewers turn them. joints: the names to be labelled. path: a .json
    in COCO's layout, written whole after every decision and opened if it is there. Labelled is the first
    person of a picture that is no crowd; all else that the file holds stays as it is: other people, other
    joints, boxes that are not the extent of the points, keys of other programs.

    pictures: paths within the folder, those that can be read; skipped: a sentence for each that cannot.
    picture, joint: at hand; at the start the first with anything undecided; joint is None where all of the
    picture are decided, and one that is to be moved has to be chosen. image: the picture, float32 RGB
    (3, H, W) in [0,1]. state: "visible" or "hidden", of the next position that is given.
    """

    def __init__(self, folder: str | Path, joints: Sequence[str], path: str | Path):
        self.folder, self.joints, self.path = Path(folder), tuple(joints), Path(path)
        named = all(type(joint) is str and joint.strip() for joint in self.joints)
        if not (self.joints and named and len(set(self.joints)) == len(self.joints)):
            raise DataError(f"joints are {joints!r}, expected a list of different names")
        if self.path.suffix.lower() != ".json":
            raise DataError(f"{self.path}: ends in {self.path.suffix!r}, expected .json (COCO)")
        if not self.folder.is_dir():
            raise DataError(f"{self.folder}: no such folder of images")
        names = image_names(self.folder)
        sizes, unreadable = check_images([self.folder / name for name in names], rotation="apply")
        self.skipped = [str(error) for error in unreadable]
        self.skipped += [f"{number} {kind}" for kind, number in unread(self.folder).items()]
        self.pictures = [name for name in names if self.folder / name in sizes]
        self.state, self._decided = VISIBLE, []
        self._read()
        undecided = [picture for picture in self.pictures if not self.is_done(picture)]
        if not self._open([*undecided, *self.pictures]):
            raise DataError("\n".join([f"{self.folder}: no picture can be read:", *self.skipped]))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the picture at hand in pixels."""
        return self.image.shape[2], self.image.shape[1]

    def marks(self, picture: str | None = None) -> dict[str, Mark]:
        """Joint -> what is decided of it in a picture, that at hand unless named."""
        person = self._people.get(picture or self.picture, {"keypoints": []})
        found = {name: Mark(ABSENT) for name in person.get("absent", [])}
        for name, (x, y, code) in zip(self._category["keypoints"], _triples(person), strict=False):
            if code:
                found[name] = Mark(HIDDEN if code == CODES[HIDDEN] else VISIBLE, (float(x), float(y)))
        return {joint: found[joint] for joint in self.joints if joint in found}

    def is_done(self, picture: str) -> bool:
        """Whether every joint of the picture is decided."""
        return len(self.marks(picture)) == len(self.joints)

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
        if not self._decided:
            raise DataError("nothing was decided here yet that could be undone")
        picture, joint, before = self._decided[-1]
        if not self._open([picture]):
            self._decided.pop()
            raise DataError(f"{picture}: cannot be read any more, its labels stay as they are")
        self._put(joint, before)
        self._decided.pop()
        self.joint = joint

    def move(self, step: int) -> None:
        """To the next picture that can be read, or with -1 to the one before; stays where there is none."""
        at = self.pictures.index(self.picture)
        self._open(self.pictures[at + 1 :] if step > 0 else reversed(self.pictures[:at]))

    def go(self, picture: str) -> None:
        """To a picture, by its path within the folder."""
        if picture not in self.pictures:
            raise DataError(f"{picture}: is no picture of {self.folder} that can be read")
        self._open([picture])

    def reload(self) -> None:
        """Go on with what the file holds now, which someone else may have changed; that is not undone."""
        self._read()
        self._decided.clear()
        self._open([self.picture])

    def samples(self) -> ImageFolder:
        """The labelled pictures as a data set; DataError if a joint has no position in any of them yet."""
        placed = {j for own in map(self.marks, self.pictures) for j, mark in own.items() if mark.point}
        if missing := [joint for joint in self.joints if joint not in placed]:
            told = f"holds no position of {', '.join(missing)} yet; label some pictures first"
            raise DataError(f"{self.path}: {told}")
        return ImageFolder(self.folder, self.path, self.joints, skip_damaged=True, upright=True)

    def _open(self, pictures: Iterable[str]) -> bool:
        """Make the first of them that can be read the one at hand; the others are told once."""
        for picture in list(pictures):
            try:
                image_name(f"{self.folder}: a picture's name", picture)
                self.image = read_image(self.folder / picture, rotation="apply")
            except DataError as error:
                self.skipped.append(str(error))
                self.pictures.remove(picture)
            else:
                self.picture, self.joint = picture, self.joints[0]
                self.joint = self._next_joint()
                return True
        return False

    def _next_joint(self) -> str | None:
        """The first undecided joint after the one at hand, None where all are decided."""
        at, marks = self.joints.index(self.joint), self.marks()
        undecided = [joint for joint in self.joints[at:] + self.joints[:at] if joint not in marks]
        return undecided[0] if undecided else None

    def _decide(self, mark: Mark) -> None:
        if self.joint is None:
            raise DataError(f"{self.picture}: all joints are decided; choose the one that is to be moved")
        before = self.marks().get(self.joint)
        self._put(self.joint, mark)
        self._decided.append((self.picture, self.joint, before))
        self.joint, self.state = self._next_joint(), VISIBLE

    def _put(self, joint: str, mark: Mark | None) -> None:
        """Decide a joint of the picture at hand, None to take that back, and write the file."""
        # A lock would tell earlier, but one that a killed kernel left looks like another machine's.
        if self._bytes() != self._known:
            raise DataError(
                f"{self.path}: was changed by someone else since it was read here, so nothing was written; "
                "reload to go on with what it holds now"
            )
        person = self._people.get(self.picture) or self._added()
        fits = person.get("bbox", self._box(person)) == self._box(person)
        at = 3 * self._category["keypoints"].index(joint)
        x, y = mark.point if mark and mark.point else (0, 0)
        person["keypoints"][at : at + 3] = [x, y, CODES[mark.state] if mark else 0]
        person["num_keypoints"] = sum(code > 0 for *_, code in _triples(person))
        person["absent"] = [name for name in person.get("absent", []) if name != joint]
        person["absent"] += [joint] if mark and mark.state == ABSENT else []
        if fits:
            x, y, width, height = person["bbox"] = self._box(person)
            person["area"] = float(box_area((x, y, x + width, y + height)))
        data = json.dumps(self._content, indent=1).encode()
        try:
            replace_file(self.path, lambda partial: partial.write_bytes(data))
        except OSError as error:
            self._take(self._known)
            raise DataError(f"{self.path}: cannot be written ({error.strerror}), nothing changed") from None
        self._known = data

    def _added(self) -> dict:
        """A new person, whose joints are all undecided, in the picture at hand, which may be new too."""
        images, people = self._content["images"], self._content["annotations"]
        if self.picture not in self._images:
            self._images[self.picture] = number = _next_id(images)
            width, height = self.size
            entry = {"id": number, "file_name": self.picture, "width": width, "height": height}
            images.append({**entry, "upright": True})
        ids = {"image_id": self._images[self.picture], "category_id": self._category["id"]}
        keypoints = [0, 0, 0] * len(self._category["keypoints"])
        people.append({"id": _next_id(people), **ids, "iscrowd": 0, "keypoints": keypoints})
        self._people[self.picture] = people[-1]
        return people[-1]

    def _box(self, person: dict) -> list[float]:
        """x, y, width, height of the points' extent, of the whole picture where they span none."""
        points = [(float(x), float(y)) for x, y, code in _triples(person) if code]
        x0, y0, x1, y1 = extent(points) or (0.0, 0.0, *map(float, self.size))
        return [x0, y0, x1 - x0, y1 - y0]

    def _read(self) -> None:
        found = self._bytes()
        if found is not None:
            read_coco(self.path)  # refuses what does not fit together
        self._take(found)

    def _take(self, data: bytes | None) -> None:
        """Go on with the content of a file, None for none, to which the joints that it lacks are added."""
        content = json.loads(data) if data else {"images": [], "annotations": [], "categories": []}
        named = [category for category in content["categories"] if category.get("keypoints")]
        if not named:
            named = [
                {"id": _next_id(content["categories"]), "name": "person", "keypoints": [], "skeleton": []}
            ]
            content["categories"] += named
        category = named[0]
        missing = [joint for joint in self.joints if joint not in category["keypoints"]]
        category["keypoints"] += missing
        # other programs write paths with backslashes or a leading dot
        where = f"{self.path}: file_name"
        paths = {entry["id"]: image_name(where, entry.get("file_name")) for entry in content["images"]}
        people: dict[str, dict] = {}
        for number, own in enumerate(content["annotations"]):
            if type(own.get("absent", [])) is not list:
                raise DataError(f"{self.path}: annotations[{number}]: absent is no list of joints' names")
            if own["category_id"] == category["id"] and "keypoints" in own:
                own["keypoints"] += [0, 0, 0] * len(missing)
                if not own.get("iscrowd"):
                    people.setdefault(paths[own["image_id"]], own)
        self._content, self._category, self._known = content, category, data
        self._images, self._people = {path: number for number, path in paths.items()}, people

    def _bytes(self) -> bytes | None:
        return self.path.read_bytes() if self.path.exists() else None


def _triples(person: dict) -> list[tuple[float, float, int]]:
    """(x, y, code) of each joint of an annotation."""
    values = person["keypoints"]
    return list(zip(values[::3], values[1::3], values[2::3], strict=True))


def _next_id(entries: list[dict]) -> int:
    return 1 + max((entry["id"] for entry in entries if type(entry.get("id")) is int), default=0)
