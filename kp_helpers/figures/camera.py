"""A pinhole camera in OpenCV's axes: x right, y down, z forward; extrinsics map world to camera."""

from dataclasses import dataclass

import numpy as np


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
