"""From a scene to a picture: a painter's canvas of part numbers and shades, coloured and averaged down."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from kp_helpers.figures import things
from kp_helpers.figures.bodies import body_parts
from kp_helpers.figures.dogs import dog_parts
from kp_helpers.figures.scene import LIMBS, Scene
from kp_helpers.figures.shapes import PLAIN, TEXTURES, Part, texture_field
from kp_helpers.figures.skeleton import forward_kinematics
from kp_helpers.figures.things import thing_parts

SUPERSAMPLING = 3
"""Canvas pixels to a side of one picture pixel; odd, so that a picture pixel has a middle one."""


@dataclass(frozen=True)
class Segment:
    """A row of a picture's panoptic table: pixels with `number` are `label` of `entity`."""

    number: int
    label: str
    entity: str
    colour: str


@dataclass(frozen=True)
class Labels:
    """A person's joints, K = 24, or a dog's landmarks, 15: `world` (K, 3) metres, `pixels` (K, 2) of the
    frame, `visible` (K,) bool.
    """

    world: np.ndarray
    pixels: np.ndarray
    visible: np.ndarray


@dataclass(frozen=True)
class Picture:
    """`image` (H, W, 3) uint8, `segments` (H, W) uint8 numbers of `table`'s rows, `people` and `dogs` in
    scene order.

    `limbs` (H, W) uint8 is 0 where no limb is seen, else 1 + 4 * person + the limb's place in `LIMBS`.
    """

    image: np.ndarray
    segments: np.ndarray
    limbs: np.ndarray
    table: tuple[Segment, ...]
    people: tuple[Labels, ...]
    dogs: tuple[Labels, ...] = ()

    def mask(self, label: str, entity: str | None = None) -> np.ndarray:
        """(H, W) bool: where `label` is seen, of one entity or of any: a class, a limb, or "person"."""
        people = [n for n in range(len(self.people)) if entity in (None, f"person {n}")]
        if label in LIMBS:
            return np.isin(self.limbs, [limb_number(label, number) for number in people])
        if label == "person":
            names = {f"person {number}" for number in people}
            return np.isin(self.segments, [s.number for s in self.table if s.entity in names])
        numbers = [s.number for s in self.table if s.label == label and entity in (None, s.entity)]
        return np.isin(self.segments, numbers)


def render(scene: Scene) -> Picture:
    """Draw `scene`: far parts first, each over the ones behind it."""
    parts = sorted(_all_parts(scene), key=lambda part: -part.depth)
    behind = things.parts(scene)
    parts = behind + [part for part in parts if part.depth > 0.2]
    ids, shade = _paint(parts, scene)
    image = _colour(parts, ids, shade, scene)
    middle = ids[SUPERSAMPLING // 2 :: SUPERSAMPLING, SUPERSAMPLING // 2 :: SUPERSAMPLING]
    segments, table = _panoptic(parts, middle)
    joints = (forward_kinematics(one.pose, one.place, one.scale)[0] for one in scene.people)
    people = [_labels(world, f"person {n}", scene, parts, middle) for n, world in enumerate(joints)]
    dogs = [_labels(dog.points(), f"dog {n}", scene, parts, middle) for n, dog in enumerate(scene.dogs)]
    return Picture(image, segments, _limbs(parts)[middle], table, tuple(people), tuple(dogs))


def limb_number(limb: str, person: int) -> int:
    """What `Picture.limbs` holds where `limb` of person number `person` is seen."""
    return 1 + len(LIMBS) * person + LIMBS.index(limb)


def _all_parts(scene: Scene) -> list[Part]:
    slope = scene.light[1]
    parts = []
    for number, person in enumerate(scene.people):
        parts += body_parts(person, f"person {number}", scene.camera, slope)
    for number, thing in enumerate(scene.things):
        parts += thing_parts(thing, f"thing {number}", scene.camera, slope)
    for number, dog in enumerate(scene.dogs):
        parts += dog_parts(dog, f"dog {number}", scene.camera, slope)
    return parts


def _paint(parts: list[Part], scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Canvases (sH, sW) of part numbers and of shades."""
    size = tuple(SUPERSAMPLING * side for side in scene.camera.size)
    ids, shade = Image.new("L", size, 0), Image.new("L", size, PLAIN)
    draw_id, draw_shade = ImageDraw.Draw(ids), ImageDraw.Draw(shade)
    for number, part in enumerate(parts):
        for polygon, value in part.strokes:
            corners = (np.clip(polygon, -4000, 4000) * SUPERSAMPLING).ravel().tolist()
            draw_id.polygon(corners, fill=number)
            draw_shade.polygon(corners, fill=int(value))
        if part.label in things.GROUND_LABELS:
            things.clutter(draw_shade, part, scene, SUPERSAMPLING)
    return np.asarray(ids), np.asarray(shade)


def _colour(parts, ids, shade, scene: Scene) -> np.ndarray:
    """(H, W, 3) uint8: colour of each part times shade, texture and light, averaged over the canvas."""
    palette = np.zeros((256, 3), np.float32)
    palette[: len(parts)] = [part.colour for part in parts]
    kinds = np.zeros(256, np.uint8)
    kinds[: len(parts)] = [TEXTURES.index(part.texture) for part in parts]
    brightness, slope = scene.light
    across = brightness * (1 + slope * np.linspace(-1, 1, ids.shape[1], dtype=np.float32))
    factor = (
        shade.astype(np.float32) * (across / PLAIN) * texture_field(kinds[ids], scene.seed, SUPERSAMPLING)
    )
    rgb = palette.take(ids, axis=0, mode="clip")
    rgb *= factor[..., None]
    np.minimum(rgb, 255, out=rgb)
    return np.asarray(Image.fromarray(rgb.astype(np.uint8)).reduce(SUPERSAMPLING))


def _panoptic(parts: list[Part], middle: np.ndarray) -> tuple[np.ndarray, tuple[Segment, ...]]:
    """Parts of one class and one entity become one segment; its colour is that of the part drawn first."""
    rows: dict[tuple[str, str], Segment] = {}
    lookup = np.zeros(256, np.uint8)
    for number, part in enumerate(parts):
        key = (part.label, part.entity)
        rows.setdefault(key, Segment(len(rows), part.label, part.entity, part.colour_word))
        lookup[number] = rows[key].number
    return lookup[middle], tuple(rows.values())


def _limbs(parts: list[Part]) -> np.ndarray:
    """(256,) uint8: the limb number of every part."""
    lookup = np.zeros(256, np.uint8)
    for number, part in enumerate(parts):
        if part.limb:
            lookup[number] = limb_number(part.limb, int(part.entity.removeprefix("person ")))
    return lookup


def _labels(world: np.ndarray, entity: str, scene: Scene, parts: list[Part], middle: np.ndarray) -> Labels:
    """Places (K, 3) of an entity; visible: in the frame, and on top there a part that carries the place."""
    pixels, depth = scene.camera.project(world)
    height, width = middle.shape
    inside = (depth > 0.2) & (pixels >= 0).all(-1) & (pixels < (width, height)).all(-1)
    visible = np.zeros(len(world), bool)
    for place in np.flatnonzero(inside):
        column, row = pixels[place].astype(int)
        top = parts[middle[row, column]]
        visible[place] = top.entity == entity and place in top.joints
    return Labels(world, pixels, visible)
