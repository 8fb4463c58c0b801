"""What a picture shows of a scene, read by comparison with renderings: each attribute's nearest value.

The renderer draws a scene once with every value that an attribute can take. Where those drawings differ from
one another, the picture is compared with each, and the nearest one is the reading. Nothing is learned, so the
reading is independent of every model; where it lies depends on the scene alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from kp_helpers.figures.edit_kinds import (
    MOTIONS,
    movable,
    standard_pose,
    standard_thing,
    with_person,
    with_thing,
)
from kp_helpers.figures.edits import LEAST_PIXELS, Edit
from kp_helpers.figures.palette import COLOURS, GROUNDS, wall_tone
from kp_helpers.figures.render import Picture, render
from kp_helpers.figures.scene import CLOTHES, THINGS, Scene

ABSENT = "absent"
_DIFFERENT = 20
"""Drawings that are farther apart than this, of 255, in some channel of a pixel are compared there."""
_DARK, _LIGHT = "black", "gray"
"""Two colours that no light drives out of range: drawings in all others follow from these two."""


@dataclass(frozen=True)
class Attribute:
    """One thing to be read. scenes: value -> its scene; where: the (H, W) places at which drawings of them
    differ; drawn: what each value is there, (values, n, 3) in [0, 255].
    """

    name: str
    scenes: dict[str, Scene]
    where: np.ndarray
    drawn: np.ndarray

    @classmethod
    def of(cls, name: str, scenes: dict[str, Scene], drawings: dict[str, np.ndarray]) -> "Attribute":
        """From a drawing (H, W, 3) in [0, 255] of each value."""
        drawn = np.stack([drawings[value] for value in scenes]).astype(np.float32)
        where = (np.ptp(drawn, axis=0) > _DIFFERENT).any(axis=-1)
        return cls(name, scenes, where, drawn[:, where])

    def read(self, image: np.ndarray) -> str:
        """The value whose drawing is nearest to `image` (H, W, 3), in [0, 255]: mean absolute difference."""
        distances = np.abs(self.drawn - np.asarray(image, np.float32)[self.where]).mean(axis=(1, 2))
        return list(self.scenes)[int(distances.argmin())]


@dataclass(frozen=True)
class Reading:
    """What an edited picture shows. changed: whether the asked attribute has its new value; lost: names of
    the other attributes that do not have theirs.
    """

    changed: bool
    lost: tuple[str, ...]


class Reader:
    """Reads pictures that are meant to show `edit.after`; its drawings serve several pictures."""

    def __init__(self, edit: Edit):
        self.edit = edit
        self._others: dict[tuple[str, ...], dict[str, tuple[Attribute, str]]] = {}

    def read(self, image: np.ndarray) -> Reading:
        """Read an edited picture (H, W, 3), in [0, 255]."""
        scene, values, changed = self.edit.after, [], True
        for make, wanted in _asked(self.edit):
            attribute = make(scene)
            value = attribute.read(image)
            scene = attribute.scenes[value]
            values.append(value)
            changed &= value == wanted
            if value == ABSENT:
                break
        key = tuple(values)
        if key not in self._others:
            self._others[key] = _others(self.edit, scene)
        others = self._others[key].items()
        return Reading(changed, tuple(name for name, (one, value) in others if one.read(image) != value))


def _asked(edit: Edit) -> list[tuple[Callable[[Scene], Attribute], str]]:
    """What an edit asks for: makers of attributes from the scene that was read so far, and their values."""
    words, after = edit.words, edit.after
    number = int(edit.attribute[1].removeprefix("thing ")) if edit.attribute[1].startswith("thing") else -1
    colour = (lambda scene: thing_colour(scene, number), words.get("colour", ""))
    if edit.kind == "thing colour":
        return [colour]
    if edit.kind == "clothes colour":
        return [(lambda scene: clothes_colour(scene, words["noun"]), words["colour"])]
    if edit.kind in ("add", "exchange"):
        kinds = _kinds(edit.before, number, after.things[number].place, words["colour"])
        return [(lambda _: kinds, words["noun"]), colour]
    if edit.kind == "remove":
        return [(lambda _: presence(edit.before, number), ABSENT)]
    if edit.kind == "motion":
        return [(lambda _: motion(edit.before), after.people[0].motion)]
    maker = ground if edit.kind == "ground" else backdrop
    return [(maker, after.ground if edit.kind == "ground" else _backdrop_of(after))]


def _others(edit: Edit, scene: Scene) -> dict[str, tuple[Attribute, str]]:
    """Attributes of `scene` that were not asked for and are seen well enough before and after, with their
    right values.
    """
    picture, old = render(scene), edit.pictures[0]
    before, person = edit.before, scene.people[0]
    found = {}
    for noun in CLOTHES:
        asked = edit.kind == "clothes colour" and edit.words["noun"] == noun
        if not asked and _seen(noun, old, picture):
            found[noun] = (clothes_colour(scene, noun), getattr(person, noun))
    for number, thing in enumerate(scene.things):
        same = [one for one in before.things if (one.kind, one.seed) == (thing.kind, thing.seed)]
        if not same or not _seen(thing.kind, old, picture):
            continue
        if number in movable(scene):
            found[thing.kind] = (presence(scene, number), thing.kind)
        if not (edit.kind == "thing colour" and edit.words["noun"] == thing.kind):
            found[f"{thing.kind}'s colour"] = (thing_colour(scene, number), same[0].colour)
    if edit.kind != "ground" and _seen(before.ground, old, picture):
        found["ground"] = (ground(scene), before.ground)
    if edit.kind != "backdrop" and _seen(before.backdrop, old, picture):
        found["backdrop"] = (backdrop(scene), _backdrop_of(before))
    if edit.kind != "motion" and person.motion != "sit":
        found["motion"] = (motion(scene), person.motion)
    return found


def _seen(label: str, *pictures: Picture) -> bool:
    return all(picture.mask(label).sum() >= LEAST_PIXELS for picture in pictures)


def clothes_colour(scene: Scene, noun: str) -> Attribute:
    """The colour of hair or a piece of clothing of the first person."""
    scenes = {word: with_person(scene, **{noun: word}) for word in COLOURS}
    return Attribute.of(noun, scenes, _in_all_colours(scenes, COLOURS))


def thing_colour(scene: Scene, number: int) -> Attribute:
    """The colour of thing `number`."""
    thing = scene.things[number]
    scenes = {word: with_thing(scene, number, replace(thing, colour=word)) for word in COLOURS}
    return Attribute.of(f"{thing.kind}'s colour", scenes, _in_all_colours(scenes, COLOURS))


def presence(scene: Scene, number: int) -> Attribute:
    """Whether thing `number` is there."""
    kind = scene.things[number].kind
    return _drawn(kind, {kind: scene, ABSENT: with_thing(scene, number, None)})


def ground(scene: Scene) -> Attribute:
    """What people stand on."""
    return _drawn("ground", {word: replace(scene, ground=word) for word in GROUNDS})


def backdrop(scene: Scene) -> Attribute:
    """The sky, or a wall by its colour."""
    walls = {word: replace(scene, backdrop="wall", wall=word) for word in COLOURS}
    drawings = _in_all_colours(walls, {word: wall_tone(word) for word in COLOURS})
    sky = replace(scene, backdrop="sky")
    return Attribute.of("backdrop", walls | {"sky": sky}, drawings | {"sky": render(sky).image})


def motion(scene: Scene) -> Attribute:
    """What the first person does: as in `scene`, or another motion in its standard pose."""
    person = scene.people[0]
    poses = {word: standard_pose(person, word) for word in MOTIONS if word != person.motion}
    scenes = {word: replace(scene, people=(pose,)) for word, pose in poses.items()}
    return _drawn("motion", {person.motion: scene, **scenes})


def _kinds(before: Scene, number: int, place: tuple[float, float], colour: str) -> Attribute:
    """What stands at a place: what stood there before, nothing, or a new thing."""
    old = before.things[number].kind if number < len(before.things) else ABSENT
    scenes = {old: before, ABSENT: with_thing(before, number, None)}
    for kind in THINGS:
        if kind != old:
            scenes[kind] = with_thing(before, number, standard_thing(kind, colour, place))
    return _drawn("thing", scenes)


def _backdrop_of(scene: Scene) -> str:
    return "sky" if scene.backdrop == "sky" else scene.wall


def _drawn(name: str, scenes: dict[str, Scene]) -> Attribute:
    return Attribute.of(name, scenes, {value: render(scene).image for value, scene in scenes.items()})


def _in_all_colours(scenes: dict[str, Scene], tones: dict[str, tuple]) -> dict[str, np.ndarray]:
    """Drawings in eleven colours from two of them, since a pixel is linear in the colour of a part."""
    dark, light = (render(scenes[word]).image.astype(np.float32) for word in (_DARK, _LIGHT))
    low, span = np.array(tones[_DARK]), np.subtract(tones[_LIGHT], tones[_DARK])
    share = (light - dark) / span
    return {word: np.clip(dark + share * (np.array(tones[word]) - low), 0, 255) for word in scenes}
