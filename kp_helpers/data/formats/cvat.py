"""CVAT's "CVAT for images 1.1": annotations.xml, by itself or in the archive that CVAT exports.

Read are skeletons, and loose points of one place each: those of a group are one person, those of none
another. Pixels are those of the picture as CVAT turns it. A score is written as an attribute of its point.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from kp_helpers.data.errors import DataError
from kp_helpers.data.formats.files import picture, text_of, texts_of, write_zip
from kp_helpers.data.labels import Labels, Limb, TakenOver
from kp_helpers.data.sample import Point

ANNOTATIONS = "annotations.xml"
_NOWHERE = (math.nan, math.nan)


def read(path: Path, root: Path) -> tuple[tuple[str, ...], list[Labels], dict[str, int]]:
    """As `coco.read_coco`. A point outside is one without a label; an occluded one counts."""
    content, found = _content(path), []
    if content.find("track") is not None:
        raise DataError(f"{path}: holds tracks of a video, expected an export as 'CVAT for images 1.1'")
    for image in content.iter("image"):
        groups = {number: one.findall("points") for number, one in enumerate(image.findall("skeleton"))}
        for point in image.findall("points"):
            groups.setdefault(f"group {point.get('group_id')}", []).append(point)
        for number, elements in enumerate(groups.values()):
            points = _points(f"{path}: {image.get('name')}", elements)
            name = picture(path, image.get("name", ""), root)
            size = (int(image.get("width", 0)), int(image.get("height", 0)))
            found.append(Labels(name, number, points, size=size if all(size) else None, upright=True))
    return tuple(dict.fromkeys(name for own in found for name in own.points)), found, {}


def taken(path: Path, root: Path) -> TakenOver:
    """The limbs of its skeletons, and what it calls each picture."""
    content = _content(path)
    names = [image.get("name", "") for image in content.iter("image")]
    limbs = [limb for svg in content.iter("svg") for limb in _limbs(path, svg.text or "")]
    return TakenOver(limbs, {picture(path, name, root): name for name in names})


def write(path: Path, people: Sequence[Labels], taken: TakenOver) -> Path:
    """Write an archive with annotations.xml, of one skeleton called "person"."""
    names = list(dict.fromkeys(name for own in people for name in own.points))
    content = Element("annotations")
    SubElement(content, "version").text = "1.1"
    labels = SubElement(SubElement(SubElement(content, "meta"), "task"), "labels")
    _label(labels, {"name": "person", "type": "skeleton", "svg": _svg(names, taken.limbs_of(names))})
    for name in names:
        _label(labels, {"name": name, "type": "points", "parent": "person"})
    images: dict[str, Element] = {}
    for own in people:
        width, height = map(str, own.size)
        about = {"id": str(len(images)), "name": taken.address(own.image), "width": width, "height": height}
        image = images.get(own.image)
        images[own.image] = SubElement(content, "image", about) if image is None else image
        _skeleton(images[own.image], own, names)
    ElementTree.indent(content)
    return write_zip(path, {ANNOTATIONS: ElementTree.tostring(content, encoding="unicode")})


def _content(path: Path) -> Element:
    if path.suffix.lower() == ".zip":
        return _tree(path, next(iter(texts_of(path, (ANNOTATIONS,)).values())))
    return _tree(path, text_of(path))


def _tree(path: Path, text: str) -> Element:
    """XML without declarations of its own: an entity may be a bomb."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise DataError(f"{path}: declares a DOCTYPE or entities, which CVAT's files do not")
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise DataError(f"{path}: is no XML ({error})") from None


def _points(where: str, elements: Sequence[Element]) -> dict[str, Point]:
    """The places of one person's points by their labels."""
    points = {}
    for element in elements:
        name, text = element.get("label", ""), element.get("points", "")
        if name in points:
            raise DataError(f"{where}: {name!r} twice for one person; skeletons or groups tell people apart")
        try:
            x, y = map(float, text.split(","))
        except ValueError:
            raise DataError(f"{where}: points of {name!r} is {text[:40]!r}, expected one x,y") from None
        points[name] = _NOWHERE if element.get("outside") == "1" else (x, y)
    return points


def _limbs(path: Path, svg: str) -> list[Limb]:
    """Of the drawing of a skeleton, which stands in the file as text."""
    drawing = _tree(path, f"<svg>{svg}</svg>")
    names = {node.get("data-node-id"): node.get("data-label-name") for node in drawing.iter("circle")}
    lines = [(line.get("data-node-from"), line.get("data-node-to")) for line in drawing.iter("line")]
    return [(names[a], names[b]) for a, b in lines if names.get(a) and names.get(b)]


def _svg(names: Sequence[str], limbs: Sequence[Limb]) -> str:
    """The drawing that CVAT asks of a skeleton: its points on a circle."""
    drawing = Element("svg")
    numbers = {name: str(number) for number, name in enumerate(names, 1)}
    for first, second in limbs:
        nodes = {"data-node-from": numbers[first], "data-node-to": numbers[second]}
        SubElement(drawing, "line", {"data-type": "edge", **nodes})
    for name, number in numbers.items():
        angle = 2 * math.pi * int(number) / len(names)
        place = {
            "cx": f"{50 + 40 * math.sin(angle):.1f}",
            "cy": f"{50 - 40 * math.cos(angle):.1f}",
            "r": "1.5",
        }
        node = {"data-type": "element node", "data-element-id": number, "data-node-id": number}
        SubElement(drawing, "circle", {**place, **node, "data-label-name": name})
    return "".join(ElementTree.tostring(part, encoding="unicode") for part in drawing)


def _label(labels: Element, about: dict[str, str]) -> None:
    label = SubElement(labels, "label")
    for name, text in about.items():
        SubElement(label, name).text = text


def _skeleton(image: Element, own: Labels, names: Sequence[str]) -> None:
    skeleton = SubElement(image, "skeleton", {"label": "person", "source": "auto", "z_order": "0"})
    for name in names:
        x, y = own.placed.get(name, (0.0, 0.0))
        outside = "0" if name in own.placed else "1"
        about = {"label": name, "source": "auto", "outside": outside, "occluded": "0"}
        point = SubElement(skeleton, "points", {**about, "points": f"{x:.4f},{y:.4f}"})
        if name in own.scores:
            SubElement(point, "attribute", {"name": "score"}).text = f"{own.scores[name]:.4f}"
