"""What is behind the people and things: sky or wall, the ground, shadows on it, and a little clutter."""

import numpy as np

from kp_helpers.figures.palette import GROUNDS, SKY, wall_tone
from kp_helpers.figures.scene import Scene
from kp_helpers.figures.shapes import Part, disc

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
