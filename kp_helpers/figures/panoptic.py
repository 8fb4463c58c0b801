"""The world as a panoptic data set: pictures with masks, on demand without some of its classes."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from kp_helpers.data.panoptic import PanopticPicture, PanopticPictures
from kp_helpers.figures.captions import Caption, describe
from kp_helpers.figures.palette import GROUNDS
from kp_helpers.figures.pictures import visible_pairs
from kp_helpers.figures.render import render
from kp_helpers.figures.scene import CLOTHES, THINGS, Scene, draw_scene

CLASSES = (*THINGS, *CLOTHES, "skin", *GROUNDS, "sky", "wall")
"""Things are counted one by one; all others are stuff."""
_LEAST_PIXELS = 12
"""What shows fewer pixels than this is void: nobody could see it."""


def panoptic_pictures(
    first: int, count: int, without: Iterable[str] = (), size: int = 128
) -> PanopticPictures:
    """The scenes of `count` seeds from `first` on, changed so that no class of `without` is in them.

    A thing is left out, skin takes the place of a garment, and another ground or backdrop that of one. Where
    boxes are left out, a scene in which somebody sits on one is passed over. size: side in pixels.
    """
    without, rows, seed = frozenset(without), [], first
    while len(rows) < count:
        scene = draw_scene(seed, (size, size))
        seed += 1
        if "box" in without and any(person.motion == "sit" for person in scene.people):
            continue
        rows.append(panoptic_picture(_free_of(scene, without)))
    return PanopticPictures(rows, CLASSES, frozenset(THINGS))


def panoptic_picture(scene: Scene) -> PanopticPicture:
    """A scene with its things one by one, and one segment for each class of stuff."""
    picture = render(scene)
    caption = describe(scene, 0, visible_pairs(picture))
    numbers: dict[tuple, int] = {}
    lookup = np.zeros(256, np.int32)
    counts = np.bincount(picture.segments.ravel(), minlength=256)
    for segment in picture.table:
        key = (segment.label, segment.entity if segment.label in THINGS else "")
        if counts[segment.number] >= _LEAST_PIXELS:
            lookup[segment.number] = numbers.setdefault(key, len(numbers) + 1)
    labels = tuple(label for label, _ in numbers)
    return PanopticPicture(picture.image, lookup[picture.segments], labels, _phrases(caption), caption.text)


def _free_of(scene: Scene, without: frozenset[str]) -> Scene:
    rng = np.random.default_rng([scene.seed, 41])
    ground, backdrop = scene.ground, scene.backdrop
    if ground in without:
        ground = str(rng.choice([name for name in GROUNDS if name not in without]))
    if backdrop in without:
        backdrop = "wall" if backdrop == "sky" else "sky"
    bare = tuple(name for name in CLOTHES if name in without)
    people = tuple(replace(person, bare=bare) for person in scene.people)
    things = tuple(thing for thing in scene.things if thing.kind not in without)
    return replace(scene, people=people, things=things, ground=ground, backdrop=backdrop)


def _phrases(caption: Caption) -> tuple[str, ...]:
    """ "red ball" of "a ball in red": what a caption names, but people and limbs, with its colour."""
    named: dict[tuple, dict] = {}
    for word, tag in zip(caption.words, caption.tags, strict=True):
        if tag and tag.label in CLASSES:
            named.setdefault((tag.label, tag.entity), {})[tag.role] = word
    return tuple(f"{roles.get('colour', '')} {label}".strip() for (label, _), roles in named.items())
