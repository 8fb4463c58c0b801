"""Drawable parts: flat polygons in pixels with a shade, sorted later by depth."""

from dataclasses import dataclass, field

import numpy as np

_ANGLES = np.linspace(0, 2 * np.pi, 18, endpoint=False)
_HALF = np.linspace(-np.pi / 2, np.pi / 2, 9)
PLAIN = 128
"""The shade that leaves a colour as it is; a shade s multiplies it by s / 128."""


@dataclass(frozen=True)
class Part:
    """One piece of something: `label` is its class word, `entity` whose it is, `depth` in metres.

    `strokes` are (polygon (n, 2) in pixels, shade 0..255), drawn in order; `joints` are the SMPL joints
    that this part carries, so that a joint counts as visible where one of its parts is on top; `limb` is the
    entry of `scene.LIMBS` that it belongs to, or "".
    """

    label: str
    entity: str
    colour: tuple[int, int, int]
    colour_word: str
    depth: float
    strokes: list = field(repr=False)
    joints: frozenset = frozenset()
    texture: str = "none"
    limb: str = ""


def disc(centre, radius, flat: float = 1.0) -> np.ndarray:
    """Polygon (18, 2) of an ellipse with half axes `radius` and `flat * radius`."""
    return np.stack([np.cos(_ANGLES) * radius, np.sin(_ANGLES) * radius * flat], -1) + centre


def capsule(start, start_radius, end, end_radius) -> np.ndarray:
    """Polygon (18, 2) round two discs."""
    start, end = np.asarray(start, float), np.asarray(end, float)
    along = end - start
    angle = np.arctan2(along[1], along[0])
    near = np.stack([np.cos(_HALF + angle + np.pi), np.sin(_HALF + angle + np.pi)], -1) * start_radius + start
    far = np.stack([np.cos(_HALF + angle), np.sin(_HALF + angle)], -1) * end_radius + end
    return np.concatenate([near, far])


def round_strokes(start, start_radius, end, end_radius, light: float = 0.0) -> list:
    """A capsule with volume: a dark rim, the colour itself, and a gleam towards the light."""
    shift = np.array([np.sign(light or 1.0) * 0.25, -0.25])
    strokes = []
    for share, offset, shade in ((1.0, 0.0, 100), (0.76, 0.5, 126), (0.36, 1.0, 144)):
        first, second = start + shift * offset * start_radius, end + shift * offset * end_radius
        strokes.append((capsule(first, start_radius * share, second, end_radius * share), shade))
    return strokes
