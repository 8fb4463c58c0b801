"""What drawing is made of: a camera, flat polygons with a shade that are sorted by depth, and textures.

The camera is a pinhole in OpenCV's axes: x right, y down, z forward; extrinsics map world to camera.
"""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter


@dataclass(frozen=True)
class Camera:
    """`extrinsics` (4, 4) world to camera, `intrinsics` (3, 3) in pixels of a frame of `size` (w, h)."""

    extrinsics: np.ndarray
    intrinsics: np.ndarray
    size: tuple[int, int]

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """Camera coordinates (..., 3) in metres of world points (..., 3): Xc = Xw R^T + t."""
        return np.asarray(points) @ self.extrinsics[:3, :3].T + self.extrinsics[:3, 3]

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (..., 2) and depth (...) of world points: u = fx x / z + cx, v = fy y / z + cy."""
        seen = self.to_camera(points)
        depth = seen[..., 2]
        safe = np.where(np.abs(depth) < 1e-6, 1e-6, depth)
        focal, centre = np.diagonal(self.intrinsics)[:2], self.intrinsics[:2, 2]
        return seen[..., :2] / safe[..., None] * focal + centre, depth

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return float(self.intrinsics[0, 0])


def look_at(eye, target, focal: float, size: tuple[int, int]) -> Camera:
    """A camera at `eye` (3,) that looks at `target` (3,), upright, with its centre in the frame's middle."""
    eye, target = np.asarray(eye, float), np.asarray(target, float)
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, (0.0, 1.0, 0.0))
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    extrinsics = np.eye(4)
    extrinsics[:3, :3], extrinsics[:3, 3] = rotation, -rotation @ eye
    width, height = size
    return Camera(
        extrinsics, np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]]), tuple(size)
    )


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


TEXTURES = ("none", "grass", "sand", "road", "water", "wall", "cloth")
_SIDE = 384


@lru_cache(maxsize=1)
def _tiles() -> np.ndarray:
    """(7, 384, 384) float32 factors round 1, one tile a texture, in picture pixels times three."""
    rng = np.random.default_rng(5)
    noise = rng.standard_normal((3, _SIDE, _SIDE))

    def soft(index, sigma):
        field = gaussian_filter(noise[index], sigma, mode="wrap")
        return field / field.std()

    row, column = np.mgrid[:_SIDE, :_SIDE]
    bricks = ((row % 48) < 4) | (((column + 48 * (row // 48 % 2)) % 96) < 4)
    waves = np.sin(2 * np.pi * (row / 32 + 0.15 * soft(1, 24)))
    cloth = soft(2, 9)
    fields = {
        "grass": 0.07 * soft(0, (7, 3)),
        "sand": 0.035 * soft(1, 4),
        "road": 0.04 * soft(2, 3),
        "water": 0.07 * waves,
        "wall": 0.02 * soft(0, 12) - 0.1 * bricks,
        "cloth": 0.035 * cloth,
    }
    return np.stack([1 + fields.get(name, np.zeros((_SIDE, _SIDE))) for name in TEXTURES]).astype(np.float32)


def texture_field(kinds: np.ndarray, seed: int, supersampling: int) -> np.ndarray:
    """(H, W) float32 factors for a canvas of texture numbers; the seed moves the tiles."""
    height, width = kinds.shape
    down, right = np.random.default_rng([seed, 3]).integers(0, _SIDE, 2)
    rows = ((np.arange(height) * 3 // supersampling + down) % _SIDE)[:, None]
    columns = ((np.arange(width) * 3 // supersampling + right) % _SIDE)[None]
    return _tiles()[kinds, rows, columns]
