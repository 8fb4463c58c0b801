"""The one coordinate convention, affine views of an image, and frame pixels to the model's square and back.

Convention, everywhere in the kit: a point is (x, y) in [0,1] of the image, x to the right and y down, and the
centre of pixel i of W has x = (i + 0.5) / W. A view is `theta`, (B, 2, 3), as torch's `affine_grid` takes it
with align_corners=False: in grid units g = 2 p - 1, the view shows at g what the image holds at theta [g, 1].
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from kornia.geometry.linalg import transform_points as _apply_homography
from kornia.geometry.transform import invert_affine_transform

FRAMINGS = ("person", "letterbox", "squash")


def random_affine(
    generator: torch.Generator,
    *,
    rotation: float = 15.0,
    zoom_min: float = 0.8,
    zoom_max: float = 1.0,
    translation: float = 0.25,
) -> torch.Tensor:
    """A random view, theta (1, 2, 3): a turn, a scale of the grid and a shift, uniform and independent.

    rotation: largest angle in degrees. zoom_min, zoom_max: scale of the grid (0.8 shows 0.8 of the width, a
    zoom of 125 %). translation: largest shift in grid units, where the image is 2 wide. Defaults:
    StableKeypoints.
    """
    angle, scale, shift_x, shift_y = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
    angle = math.radians((2 * angle - 1) * rotation)
    scale = zoom_min + (zoom_max - zoom_min) * scale
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    x, y = (2 * shift_x - 1) * translation, (2 * shift_y - 1) * translation
    return torch.tensor([[[cos, sin, x], [-sin, cos, y]]], dtype=torch.float32)


def invert(theta: torch.Tensor) -> torch.Tensor:
    """The view that undoes `theta`, (B, 2, 3)."""
    return invert_affine_transform(_checked(theta))


def warp(images: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """The view `theta` (B, 2, 3) of images or maps (B, C, H, W): bilinear, zero outside the image."""
    theta = _checked(theta).to(images)
    grid = F.affine_grid(theta, [len(theta), *images.shape[1:]], align_corners=False)
    if images.is_cuda and torch.are_deterministic_algorithms_enabled():
        return gathered(images, grid)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def gathered(images: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """`F.grid_sample` as in `warp`, as a weighted sum of four gathers.

    images: (B, C, H, W); grid: (B, h, w, 2) in grid units. Its gradient in `images` repeats to the last bit
    on CUDA, where grid_sample's does not; the grid gets none.
    """
    height, width = images.shape[2:]
    size = grid.new_tensor([width, height])
    place = ((grid.detach() + 1) * size - 1) / 2
    corner = place.floor()
    flat, total = images.flatten(2), 0
    for offset in ((0, 0), (1, 0), (0, 1), (1, 1)):
        at = corner + grid.new_tensor(offset)
        weight = (1 - (place - at).abs()).prod(dim=-1) * ((at >= 0) & (at < size)).all(dim=-1)
        x, y = at.long().unbind(dim=-1)
        index = (y.clamp(0, height - 1) * width + x.clamp(0, width - 1)).flatten(1)
        found = torch.stack([one[:, own] for one, own in zip(flat, index, strict=True)])
        total = total + found.unflatten(2, weight.shape[1:]) * weight[:, None]
    return total


def transform_points(points: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """Where the view `theta` (B, 2, 3) shows the points (B, K, 2) of the image; both in [0,1] as (x, y).

    The inverse matrix moves points, since theta leads from the view back to the image.
    """
    if points.ndim != 3 or points.shape[-1] != 2:
        raise ValueError(
            f"geometry.transform_points: points have shape {tuple(points.shape)}, expected (B, K, 2)"
        )
    matrix = invert(theta.to(points))
    last_row = matrix.new_tensor([0.0, 0.0, 1.0]).expand(len(matrix), 1, 3)
    moved = _apply_homography(torch.cat([matrix, last_row], dim=1), 2 * points - 1)
    return (moved + 1) / 2


def _checked(theta: torch.Tensor) -> torch.Tensor:
    if theta.ndim != 3 or theta.shape[1:] != (2, 3):
        raise ValueError(f"geometry: theta has shape {tuple(theta.shape)}, expected (B, 2, 3)")
    return theta


@dataclass(frozen=True)
class Square:
    """The part of a frame that the model sees as its square; it may reach out of the frame.

    x, y: its upper left corner in pixels of the frame (the first pixel covers 0 to 1). width, height: in
    pixels.
    """

    x: float
    y: float
    width: float
    height: float

    def to_square(self, points) -> torch.Tensor:
        """Points (..., 2) in pixels of the frame -> [0,1] of the square; outside of it they leave [0,1]."""
        points = _points(points)
        return (points - points.new_tensor([self.x, self.y])) / points.new_tensor([self.width, self.height])

    def to_frame(self, points) -> torch.Tensor:
        """Points (..., 2) in [0,1] of the square -> pixels of the frame: the exact inverse of `to_square`."""
        points = _points(points)
        return points * points.new_tensor([self.width, self.height]) + points.new_tensor([self.x, self.y])

    def inside(self, frame_size: tuple[int, int]) -> torch.Tensor:
        """The part of the square that shows the frame, (4,) as (x0, y0, x1, y1) in [0,1] of the square; the
        rest is black bars.
        """
        corners = self.to_square([(0.0, 0.0), tuple(map(float, frame_size))])
        return corners.clamp(0, 1).flatten()

    def crop(self, image: torch.Tensor, size: int) -> torch.Tensor:
        """The square of a frame (C, H, W) as (C, size, size): bilinear, antialiased, black outside the
        frame.
        """
        if image.ndim != 3:
            raise ValueError(f"Square.crop: image has shape {tuple(image.shape)}, expected (C, H, W)")
        rows = _resampling(image.shape[1], self.y, self.height, size).to(image)
        columns = _resampling(image.shape[2], self.x, self.width, size).to(image)
        return rows @ image @ columns.T


def frame_square(
    frame_size: tuple[int, int],
    framing: str = "person",
    box: tuple[float, float, float, float] | None = None,
    margin: float = 0.1,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Square:
    """The square of a frame that the model is shown.

    frame_size: (width, height) in pixels. framing: "person", a square round the middle of `box` (x0, y0, x1,
    y1 in pixels), its side the box's longer side plus `margin` of it at either end, its middle moved by
    `shift` (x, y) margins, so that from -1 to 1 the box stays inside; "letterbox", the whole frame with black
    bars; "squash", the whole frame with its sides made equal.
    """
    width, height = frame_size
    if framing == "squash":
        return Square(0.0, 0.0, float(width), float(height))
    if framing == "letterbox":
        return _square_round(width / 2, height / 2, max(width, height))
    if framing != "person":
        raise ValueError(f"framing is {framing!r}, expected one of {', '.join(FRAMINGS)}")
    if box is None or not all(map(math.isfinite, box)) or box[2] <= box[0] or box[3] <= box[1]:
        raise ValueError(
            f"framing 'person': box is {box}, expected finite (x0, y0, x1, y1) with x0 < x1, y0 < y1"
        )
    longer = max(box[2] - box[0], box[3] - box[1])
    x, y = ((low + high) / 2 for low, high in zip(box[:2], box[2:], strict=True))
    room = margin * longer
    return _square_round(x + room * shift[0], y + room * shift[1], longer + 2 * room)


def _square_round(x: float, y: float, side: float) -> Square:
    return Square(float(x - side / 2), float(y - side / 2), float(side), float(side))


def _points(points) -> torch.Tensor:
    """Points as a floating tensor; what is no tensor becomes float64, so that a round trip loses nothing."""
    points = points if isinstance(points, torch.Tensor) else torch.as_tensor(points, dtype=torch.float64)
    if points.shape[-1:] != (2,):
        raise ValueError(f"points have shape {tuple(points.shape)}, expected (..., 2) as (x, y)")
    return points


def _resampling(pixels: int, start: float, extent: float, size: int) -> torch.Tensor:
    """The matrix (size, pixels) that resamples one axis: a triangle as wide as the coarser of the two grids.

    Rows whose centre lies outside the frame are zero; the others sum to one, also at the frame's edge.
    """
    step = extent / size
    centres = start + (torch.arange(size, dtype=torch.float64) + 0.5) * step
    distance = (torch.arange(pixels, dtype=torch.float64) + 0.5 - centres[:, None]).abs()
    weights = (1 - distance / max(step, 1.0)).clamp_min(0)
    weights = weights / weights.sum(dim=1, keepdim=True).clamp_min(1e-12)
    return weights * ((centres > 0) & (centres < pixels))[:, None]
