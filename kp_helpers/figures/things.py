"""What stands round a person as drawable parts: things, sky or wall, the ground, shadows and clutter."""

from itertools import pairwise

import numpy as np

from kp_helpers.figures.palette import COLOURS, GROUNDS, SKY, wall_tone
from kp_helpers.figures.scene import Scene, Thing
from kp_helpers.figures.shapes import Camera, Part, capsule, disc, round_strokes

_WOOD, _DARK = (112, 78, 50), (58, 54, 56)


class _Board:
    """An upright board at the thing's place that faces the camera: x to the right and y up, in its sizes."""

    def __init__(self, thing: Thing, camera: Camera, light: float):
        self.foot, depth = camera.project(np.array([thing.place[0], 0.0, thing.place[1]]))
        self.depth, self.light = float(depth), light
        self.unit = thing.size * camera.focal / max(self.depth, 0.05)
        self.flip = -1.0 if thing.flip else 1.0

    def at(self, x: float, y: float) -> np.ndarray:
        """Pixel of a place on the board."""
        return self.foot + np.array([x * self.flip, -y]) * self.unit

    def polygon(self, *corners) -> np.ndarray:
        """Pixels (n, 2) of several places."""
        return np.stack([self.at(x, y) for x, y in corners])

    def round(self, x0, y0, r0, x1, y1, r1) -> list:
        """Strokes of a capsule with volume."""
        return round_strokes(self.at(x0, y0), r0 * self.unit, self.at(x1, y1), r1 * self.unit, self.light)

    def disc(self, x, y, radius, flat=1.0) -> np.ndarray:
        """Polygon of a disc."""
        return disc(self.at(x, y), radius * self.unit, flat)


def thing_parts(thing: Thing, entity: str, camera: Camera, light: float) -> list[Part]:
    """All parts of `thing`: the coloured body, then wood, wheels or handles in their own tone."""
    board = _Board(thing, camera, light)
    own = np.random.default_rng(thing.seed).integers(-9, 10, 3)
    tone = tuple(int(c) for c in np.clip(np.add(COLOURS[thing.colour], own), 0, 255))
    layers = [(tone, _box(thing, camera))] if thing.kind == "box" else _MAKERS[thing.kind](board, tone)
    return [
        Part(thing.kind, entity, rgb, thing.colour, board.depth - 1e-3 * order, strokes)
        for order, (rgb, strokes) in enumerate(layers)
    ]


def _ball(board: _Board, tone):
    strokes = board.round(0, 0.5, 0.5, 1e-3, 0.5, 0.5)
    seams = [
        capsule(board.at(-0.34, 0.18 + d), 0.03 * board.unit, board.at(0.34, 0.5 + d), 0.03 * board.unit)
        for d in (0, 0.3)
    ]
    return [(tone, strokes + [(seam, 84) for seam in seams])]


def _box(thing: Thing, camera: Camera) -> list:
    """A real cuboid: its faces that look at the camera, each with its own shade."""
    turn = np.radians(20 + (thing.seed % 50))
    half, top = thing.size * 0.55, thing.size
    axes = np.array([[np.cos(turn), 0, np.sin(turn)], [-np.sin(turn), 0, np.cos(turn)]]) * half
    base = np.array([thing.place[0], 0.0, thing.place[1]])
    corners = [base + a * axes[0] + b * axes[1] for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    low = [camera.project(corner)[0] for corner in corners]
    high = [camera.project(corner + (0, top, 0))[0] for corner in corners]
    faces = [
        (np.stack([low[i], low[j], high[j], high[i]]), shade)
        for i, j, shade in ((2, 3, 112), (1, 2, 92), (3, 0, 92), (0, 1, 92))
    ]
    eye = -camera.extrinsics[:3, :3].T @ camera.extrinsics[:3, 3]
    order = sorted(range(4), key=lambda n: -np.linalg.norm(_face_middle(corners, n) - eye))
    return [faces[n] for n in order] + ([(np.stack(high), 144)] if eye[1] > top else [])


def _face_middle(corners, number):
    """Middle of the base edge of face `number`, in the order of the faces of `_box`."""
    i, j = ((2, 3), (1, 2), (3, 0), (0, 1))[number]
    return (corners[i] + corners[j]) / 2


def _bag(board: _Board, tone):
    unit = board.unit
    handle = [(-0.2, 0.6), (-0.17, 0.92), (0.17, 0.92), (0.2, 0.6)]
    strokes = [
        (capsule(board.at(*a), 0.045 * unit, board.at(*b), 0.045 * unit), 84) for a, b in pairwise(handle)
    ]
    body = board.polygon((-0.42, 0.0), (0.42, 0.0), (0.34, 0.66), (-0.34, 0.66))
    shine = board.polygon((-0.34, 0.05), (0.3, 0.05), (0.24, 0.6), (-0.27, 0.6))
    flap = board.polygon((-0.35, 0.66), (0.35, 0.66), (0.26, 0.4), (-0.26, 0.4))
    return [
        (tone, [*strokes, (body, 100), (shine, 128), (flap, 108)]),
        (_DARK, [(board.disc(0, 0.42, 0.06), 128)]),
    ]


def _cone(board: _Board, tone):
    def slice_of(low, high, shade):
        wide, narrow = 0.3 * (1 - low) + 0.03, 0.3 * (1 - high) + 0.03
        return board.polygon((-wide, low), (wide, low), (narrow, high), (-narrow, high)), shade

    base = board.polygon((-0.42, 0.0), (0.42, 0.0), (0.36, 0.1), (-0.36, 0.1))
    return [
        (tone, [(base, 92), slice_of(0.08, 1.0, 126), slice_of(0.3, 0.46, 168), slice_of(0.64, 0.76, 168)])
    ]


def _umbrella(board: _Board, tone):
    angles = np.linspace(0, np.pi, 13)
    dome = np.stack([board.at(0.55 * np.cos(a), 0.6 + 0.42 * np.sin(a)) for a in angles])
    ribs = []
    for order, (left, right) in enumerate(((0, 4), (4, 8), (8, 12))):
        rib = np.concatenate([dome[left : right + 1], [board.at(0, 0.6)]])
        ribs.append((rib, (100, 130, 112)[order]))
    scallops = [(board.disc(x, 0.61, 0.18, 0.35), 88) for x in (-0.36, 0.0, 0.36)]
    pole = capsule(board.at(0, 0.0), 0.025 * board.unit, board.at(0, 0.66), 0.025 * board.unit)
    return [(_DARK, [(pole, 128)]), (tone, [*scallops, *ribs])]


def _dog(board: _Board, tone):
    strokes = []
    for x in (-0.42, -0.3, 0.26, 0.38):
        strokes += board.round(x, 0.42, 0.09, x + 0.02, 0.08, 0.075)
    strokes += board.round(-0.52, 0.58, 0.06, -0.76, 0.86, 0.045)
    strokes += board.round(-0.38, 0.54, 0.2, 0.34, 0.56, 0.2)
    strokes += board.round(0.42, 0.62, 0.15, 0.56, 0.84, 0.17)
    strokes += board.round(0.6, 0.8, 0.12, 0.82, 0.74, 0.08)
    strokes.append((board.polygon((0.4, 0.98), (0.52, 0.96), (0.44, 0.66)), 84))
    return [
        (tone, strokes),
        (_DARK, [(board.disc(0.89, 0.77, 0.05), 128), (board.disc(0.64, 0.88, 0.035), 128)]),
    ]


def _tree(board: _Board, tone):
    trunk = board.polygon((-0.06, 0.0), (0.07, 0.0), (0.04, 0.5), (-0.04, 0.5))
    crown = []
    for x, y, r in (
        (-0.2, 0.52, 0.17),
        (0.2, 0.54, 0.17),
        (-0.12, 0.72, 0.18),
        (0.13, 0.74, 0.18),
        (0.0, 0.6, 0.2),
        (0.0, 0.86, 0.15),
    ):
        crown += board.round(x, y, r, x + 1e-3, y, r)
    return [(_WOOD, [(trunk, 120)]), (tone, crown)]


_MAKERS = {"ball": _ball, "bag": _bag, "cone": _cone, "umbrella": _umbrella, "dog": _dog, "tree": _tree}


GROUND_LABELS = (*GROUNDS, "sky", "wall")
_WALL_BEHIND, _HORIZON = 3.2, 60.0
"""Metres from the people to the wall, and to where the ground meets the sky."""


def parts(scene: Scene) -> list[Part]:
    """Backdrop and ground, farthest first."""
    width, height = scene.camera.size
    border = _border(scene)
    upper = np.array([[-9, -9], [width + 9, -9], [width + 9, border], [-9, border]])
    lower = np.array([[-9, border], [width + 9, border], [width + 9, height + 9], [-9, height + 9]])
    if scene.backdrop == "sky":
        back = Part("sky", "backdrop", SKY[1], SKY[0], 99.0, [(upper, 128)])
    else:
        back = Part(
            "wall", "backdrop", wall_tone(scene.wall), scene.wall, 99.0, [(upper, 128)], texture="wall"
        )
    word, rgb = GROUNDS[scene.ground]
    return [back, Part(scene.ground, "ground", rgb, word, 98.0, [(lower, 128)], texture=scene.ground)]


def clutter(draw, part: Part, scene: Scene, supersampling: int) -> None:
    """Shade what lies about: clouds, pictures on the wall, tufts, pebbles and shadows on the ground."""
    for polygon, shade in _spots(part, scene):
        draw.polygon((polygon * supersampling).ravel().tolist(), fill=int(shade))


def _border(scene: Scene) -> float:
    """Pixel row where ground and backdrop meet."""
    away = scene.camera.extrinsics[:3, :3].T @ np.array([0, 0, 1.0]) * (1, 0, 1)
    eye = -scene.camera.extrinsics[:3, :3].T @ scene.camera.extrinsics[:3, 3] * (1, 0, 1)
    reach = np.linalg.norm(eye) + (_WALL_BEHIND if scene.backdrop == "wall" else _HORIZON)
    return float(scene.camera.project(eye + away / np.linalg.norm(away) * reach)[0][1])


def _spots(part: Part, scene: Scene) -> list:
    rng = np.random.default_rng([scene.seed, 17, len(part.label)])
    width, height = scene.camera.size
    border = _border(scene)
    if part.label == "sky":
        return [
            (disc((x * width, y * border), r * width, 0.45), 148)
            for x, y, r in rng.uniform((0, 0, 0.05), (1, 0.7, 0.14), (int(rng.integers(0, 4)), 3))
        ]
    if part.label == "wall":
        return _pictures(rng, width, border)
    spots = [
        (disc((x * width, border + y * (height - border)), (0.004 + 0.012 * y) * width, 0.5), shade)
        for x, y, shade in rng.uniform((0, 0.05, 100), (1, 1, 146), (int(rng.integers(4, 14)), 3))
    ]
    return spots + _shadows(scene)


def _pictures(rng, width, border) -> list:
    """Up to two frames on the wall."""
    spots = []
    for x, y, w, h in rng.uniform((0, 0, 0.1, 0.1), (0.9, 0.4, 0.2, 0.22), (int(rng.integers(0, 3)), 4)):
        corners = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]]) * (width, max(border, 1))
        spots += [(corners, 96), (corners * 0.86 + corners.mean(0) * 0.14, 142)]
    return spots


def _shadows(scene: Scene) -> list:
    """A dark patch under every person, thing and dog."""
    spots = []
    feet = [(person.place[[0, 2]], 0.3) for person in scene.people]
    feet += [(np.array(thing.place), 0.45 * min(thing.size, 0.8)) for thing in scene.things]
    feet += [(np.array(dog.place), 0.4 * dog.size) for dog in scene.dogs]
    for (x, z), radius in feet:
        centre, depth = scene.camera.project(np.array([x, 0.0, z]))
        spots.append((disc(centre, radius * scene.camera.focal / max(depth, 0.2), 0.28), 88))
    return spots
