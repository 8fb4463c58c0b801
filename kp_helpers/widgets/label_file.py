"""Labels of the pictures of a folder in one COCO JSON file, written whole after every change.

A change is refused if the file is no longer what was last read or written here. That holds whoever changed
it: a second page, an editor, another machine on a shared folder. A lock would tell the second holder earlier,
but has to be found stale after every killed kernel, which cannot be done safely across machines.
"""

import copy
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kp_helpers.data import DataError
from kp_helpers.data.coco import read_coco
from kp_helpers.data.labels import extent
from kp_helpers.data.sample import Point
from kp_helpers.metrics.lengths import box_area
from kp_helpers.store import replace_file

VISIBLE, HIDDEN, ABSENT = "visible", "hidden", "absent"
CODES = {VISIBLE: 2, HIDDEN: 1, ABSENT: 0}
"""COCO's third number of a keypoint. 0 is also a joint that nobody has looked for yet: which ones were looked
for and are not there stands under the annotation's own key `absent`, which other readers pass over."""
_OWN = {"id", "image_id", "category_id", "iscrowd", "keypoints", "num_keypoints", "absent", "bbox", "area"}
_STATES = {code: state for state, code in CODES.items() if code}


@dataclass(frozen=True)
class Mark:
    """What was decided of a joint in a picture: "visible" or "hidden" at (x, y) in pixels, or "absent"."""

    state: str
    point: Point | None = None

    def __post_init__(self):
        if self.state not in CODES:
            raise DataError(f"state is {self.state!r}, expected one of {', '.join(CODES)}")
        if (self.point is None) != (self.state == ABSENT):
            raise DataError(f"a joint that is {self.state} has point {self.point}")


class LabelsChangedError(DataError):
    """The file was changed by someone else; nothing was written."""


class LabelFile:
    """COCO's JSON with the joints of one person in each picture.

    path: written at the first change if there is none yet; DataError if there is one that is not COCO's.
    joints: names; those that the file lacks are added to it. Labelled is the first person of a picture that
    is no crowd. What the file holds besides stays as it is: other people, other joints, boxes that are not
    the extent of the points, keys of other programs.
    """

    def __init__(self, path: str | Path, joints: tuple[str, ...]):
        self.path, self.joints = Path(path), joints
        if self.path.suffix.lower() != ".json":
            raise DataError(f"{self.path}: ends in {self.path.suffix!r}, expected .json (COCO)")
        self.reload()

    def reload(self) -> None:
        """Take what the file holds now."""
        found = self._bytes()
        content = {"images": [], "annotations": [], "categories": []}
        if found is not None:
            read_coco(self.path)  # refuses what does not fit together
            content = json.loads(found)
            _check_absent(self.path, content)
        self._content, self._seen = content, _digest(found)

    def changed(self) -> bool:
        """Whether someone else has changed the file since it was last read or written here."""
        return _digest(self._bytes()) != self._seen

    def marks(self, image: str) -> dict[str, Mark]:
        """What is decided of a picture's joints: name -> mark, in the order of `joints`, without the others.

        image: path within the folder of pictures, with forward slashes.
        """
        person = _person(self._content, image)
        if person is None:
            return {}
        decided = {name: Mark(ABSENT) for name in person.get("absent", ())} | _points(self._content, person)
        return {joint: decided[joint] for joint in self.joints if joint in decided}

    def put(self, image: str, size: tuple[int, int], joint: str, mark: Mark | None) -> None:
        """Decide one joint of a picture, None to take the decision back, and write the file.

        size: (width, height) of the picture. Whatever goes wrong, file and marks stay as they were.
        LabelsChangedError if someone else changed the file, DataError if it cannot be written.
        """
        content = copy.deepcopy(self._content)
        category = _category(content, self.joints)
        person = _person(content, image) or _added(content, image, size, category)
        follows = person.get("bbox", _box(content, person, size)) == _box(content, person, size)
        place = 3 * category["keypoints"].index(joint)
        x, y = mark.point if mark and mark.point else (0, 0)
        person["keypoints"][place : place + 3] = [x, y, CODES[mark.state] if mark else 0]
        person["num_keypoints"] = sum(code > 0 for code in person["keypoints"][2::3])
        absent = [name for name in person.get("absent", ()) if name != joint]
        person["absent"] = absent + [joint] * (mark is not None and mark.state == ABSENT)
        if follows:
            _fit_box(content, person, size)
            if person.keys() <= _OWN and not (person["num_keypoints"] or person["absent"]):
                content["annotations"].remove(person)
        self._write(content)

    def _write(self, content: dict) -> None:
        if self.changed():
            raise LabelsChangedError(
                f"{self.path}: was changed by someone else since it was read here, so nothing was written; "
                "reload to go on with what it holds now"
            )
        data = json.dumps(content, indent=1, allow_nan=False).encode()
        try:
            replace_file(self.path, lambda partial: partial.write_bytes(data))
        except OSError as error:
            raise DataError(f"{self.path}: cannot be written ({error.strerror}), nothing changed") from None
        self._content, self._seen = content, _digest(data)

    def _bytes(self) -> bytes | None:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read ({error.strerror})") from None


def _digest(content: bytes | None) -> str:
    return "" if content is None else hashlib.sha256(content).hexdigest()


def _check_absent(path: Path, content: dict) -> None:
    for number, own in enumerate(content["annotations"]):
        names = own.get("absent", [])
        if type(names) is not list or any(type(name) is not str for name in names):
            raise DataError(f"{path}: annotations[{number}]: absent is no list of joints' names")


def _category(content: dict, joints: tuple[str, ...]) -> dict:
    """The category whose joints are labelled, with all of them; made where there is none."""
    named = [category for category in content["categories"] if category.get("keypoints")]
    if not named:
        number = _next(content["categories"])
        content["categories"].append({"id": number, "name": "person", "keypoints": [], "skeleton": []})
        named = content["categories"][-1:]
    names = named[0]["keypoints"]
    missing = [joint for joint in joints if joint not in names]
    for own in content["annotations"]:
        if own.get("category_id") == named[0]["id"] and "keypoints" in own:
            own["keypoints"] += [0, 0, 0] * len(missing)
    names += missing
    return named[0]


def _person(content: dict, image: str) -> dict | None:
    """The annotation of a picture that is labelled here."""
    numbers = {entry["id"] for entry in _entries(content, image)}
    named = [category["id"] for category in content["categories"] if category.get("keypoints")][:1]
    for own in content["annotations"]:
        found = own.get("image_id") in numbers and own.get("category_id") in named
        if found and "keypoints" in own and not own.get("iscrowd"):
            return own
    return None


def _entries(content: dict, image: str) -> list[dict]:
    """The file's entries of a picture; other programs write paths with backslashes or a leading dot."""
    names = [str(entry.get("file_name")).replace("\\", "/") for entry in content["images"]]
    pairs = zip(content["images"], names, strict=True)
    return [entry for entry, name in pairs if PurePosixPath(name).as_posix() == image]


def _added(content: dict, image: str, size: tuple[int, int], category: dict) -> dict:
    """A new person, whose joints are all undecided, in a picture that is added if it is new."""
    known = _entries(content, image)
    if not known:
        width, height = size
        entry = {"id": _next(content["images"]), "file_name": image, "width": width, "height": height}
        content["images"].append(entry | {"upright": True})
        known = [entry]
    ids = {"id": _next(content["annotations"]), "image_id": known[0]["id"], "category_id": category["id"]}
    person = {**ids, "iscrowd": 0, "keypoints": [0, 0, 0] * len(category["keypoints"])}
    content["annotations"].append(person)
    return person


def _points(content: dict, person: dict) -> dict[str, Mark]:
    """The joints of an annotation that have a position, of all its category's."""
    names = next(c["keypoints"] for c in content["categories"] if c["id"] == person["category_id"])
    values = person["keypoints"]
    triples = zip(values[::3], values[1::3], values[2::3], strict=True)
    return {
        name: Mark(_STATES.get(code, VISIBLE), (float(x), float(y)))
        for name, (x, y, code) in zip(names, triples, strict=True)
        if code
    }


def _box(content: dict, person: dict, size: tuple[int, int]) -> list[float]:
    """x, y, width, height of the points' extent, of the whole picture where they span none."""
    points = [mark.point for mark in _points(content, person).values()]
    x0, y0, x1, y1 = extent(points) or (0.0, 0.0, *map(float, size))
    return [x0, y0, x1 - x0, y1 - y0]


def _fit_box(content: dict, person: dict, size: tuple[int, int]) -> None:
    person["bbox"] = x, y, width, height = _box(content, person, size)
    person["area"] = float(box_area((x, y, x + width, y + height)))


def _next(entries: list[dict]) -> int:
    return 1 + max((entry["id"] for entry in entries if type(entry.get("id")) is int), default=0)
