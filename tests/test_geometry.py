import math

import pytest
import torch
import torch.nn.functional as F

from kp_helpers import geometry


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


WARPING = {"mode": "bilinear", "padding_mode": "zeros", "align_corners": False}


def test_random_affine_is_a_turn_a_scale_and_a_shift_in_its_ranges():
    for seed in range(50):
        theta = geometry.random_affine(_generator(seed))[0]
        (a, b, x), (c, d, y) = theta.tolist()
        assert a == pytest.approx(d) and b == pytest.approx(-c)
        assert 0.8 - 1e-6 <= math.hypot(a, b) <= 1 + 1e-6
        assert abs(math.degrees(math.atan2(b, a))) <= 15
        assert max(abs(x), abs(y)) <= 0.25


def test_random_affine_of_no_range_is_the_identity():
    theta = geometry.random_affine(_generator(), rotation=0, zoom_min=1, zoom_max=1, translation=0)
    assert torch.equal(theta, torch.tensor([[[1.0, 0, 0], [0, 1, 0]]]))


def test_random_affine_follows_the_generator():
    first, again, other = (geometry.random_affine(_generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_invert_undoes():
    theta = geometry.random_affine(_generator(3))
    full = [torch.cat([t, torch.tensor([[[0.0, 0, 1]]])], 1) for t in (theta, geometry.invert(theta))]
    assert torch.allclose(full[0] @ full[1], torch.eye(3), atol=1e-6)


def test_warp_by_hand():
    """A shift of the grid by two pixels to the right shows what lies two pixels to the right."""
    image = torch.rand(1, 1, 8, 8, generator=_generator())
    theta = torch.tensor([[[1.0, 0, 2 * 2 / 8], [0, 1, 0]]])
    assert torch.allclose(geometry.warp(image, theta)[..., :6], image[..., 2:], atol=1e-6)
    assert torch.equal(geometry.warp(image, theta)[..., 6:], torch.zeros(1, 1, 8, 2))


@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (1, 2, 5, 9)])
def test_gathers_are_grid_sample_in_value_and_gradient(shape):
    """Turned, moved half out of the picture, and zoomed in: every kind of border is met."""
    noise = torch.Generator().manual_seed(0)
    views = [
        geometry.random_affine(noise, rotation=180, zoom_max=1.5, translation=1) for _ in range(shape[0])
    ]
    grid = F.affine_grid(torch.cat(views).double(), list(shape), align_corners=False)
    images = torch.rand(shape, generator=noise, dtype=torch.float64)
    pull = torch.rand(shape, generator=noise, dtype=torch.float64)
    ways = []
    for way in (lambda one: geometry.gathered(one, grid), lambda one: F.grid_sample(one, grid, **WARPING)):
        own = images.clone().requires_grad_(True)
        found = way(own)
        (found * pull).sum().backward()
        ways.append((found.detach(), own.grad))
    for found, wanted in zip(*ways, strict=True):
        assert torch.allclose(found, wanted, atol=1e-12) and wanted.abs().max() > 0.1


def test_points_move_as_the_image_does():
    """A blob drawn at a point is seen, in the warped image, where transform_points says."""
    x, y = 0.45, 0.6
    centres = (torch.arange(200) + 0.5) / 200
    image = torch.exp(-((centres[None] - x) ** 2 + (centres[:, None] - y) ** 2) / (2 * 0.02**2))[None, None]
    for seed in range(5):
        theta = geometry.random_affine(_generator(seed))
        seen = geometry.warp(image, theta)[0, 0]
        total = seen.sum()
        mean = (seen.sum(0) * centres).sum() / total, (seen.sum(1) * centres).sum() / total
        moved = geometry.transform_points(torch.tensor([[[x, y]]]), theta)[0, 0]
        assert moved.tolist() == pytest.approx([float(m) for m in mean], abs=2e-3)


@pytest.mark.parametrize("framing", geometry.FRAMINGS)
def test_frame_to_square_and_back_is_exact(framing):
    box = (1500.0, -80.0, 1950.0, 600.0)  # leaves the frame at the top and the right
    square = geometry.frame_square((1920, 1080), framing, box)
    points = torch.rand(100, 2, generator=_generator(), dtype=torch.float64) * 3000 - 500
    assert torch.allclose(square.to_frame(square.to_square(points)), points, rtol=0, atol=1e-9)


def test_a_shift_moves_the_square_by_margins_and_keeps_the_box_inside():
    box = (100, 200, 200, 600)
    plain = geometry.frame_square((1920, 1080), "person", box, margin=0.1)
    moved = geometry.frame_square((1920, 1080), "person", box, margin=0.1, shift=(1.0, -0.5))
    assert (moved.x - plain.x, moved.y - plain.y, moved.width) == pytest.approx((40, -20, plain.width))
    for shift in ((1, 1), (-1, -1), (1, -1)):
        square = geometry.frame_square((1920, 1080), "person", box, margin=0.1, shift=shift)
        corners = square.to_square([box[:2], box[2:]])
        assert corners.min() >= -1e-12 and corners.max() <= 1 + 1e-12


def test_framings_by_hand():
    person = geometry.frame_square((1920, 1080), "person", (100, 200, 200, 600), margin=0.1)
    assert (person.x, person.y, person.width, person.height) == (150 - 240, 400 - 240, 480, 480)
    assert person.to_square([[150, 400]]).tolist() == [[0.5, 0.5]]
    letterbox = geometry.frame_square((1920, 1080), "letterbox")
    assert (letterbox.x, letterbox.y, letterbox.width, letterbox.height) == (0, -420, 1920, 1920)
    squash = geometry.frame_square((1920, 1080), "squash")
    assert squash.to_square([[1920, 540]]).tolist() == [[1, 0.5]]


@pytest.mark.parametrize("size", [20, 90])
def test_crop_of_the_whole_frame_is_antialiased_resizing(size):
    image = torch.rand(3, 48, 64, generator=_generator())
    found = geometry.frame_square((64, 48), "squash").crop(image, size)
    expected = F.interpolate(image[None], (size, size), mode="bilinear", antialias=True)[0]
    assert torch.allclose(found, expected, atol=1e-5)


def test_crop_at_the_frames_own_scale_cuts_pixels_out():
    image = torch.rand(3, 48, 64, generator=_generator())
    found = geometry.Square(50.0, -4.0, 20.0, 20.0).crop(image, 20)
    assert torch.allclose(found[:, 4:, :14], image[:, :16, 50:], atol=1e-6)
    assert found[:, :4].abs().max() == 0 and found[:, :, 14:].abs().max() == 0


def test_wrong_inputs_are_named():
    with pytest.raises(ValueError, match=r"'portrait', expected one of person, letterbox, squash"):
        geometry.frame_square((10, 10), "portrait")
    with pytest.raises(ValueError, match="box is None"):
        geometry.frame_square((10, 10), "person")
    with pytest.raises(ValueError, match=r"\(2, 3\), expected \(B, 2, 3\)"):
        geometry.invert(torch.eye(2, 3))
    with pytest.raises(ValueError, match=r"expected \(\.\.\., 2\)"):
        geometry.Square(0, 0, 1, 1).to_square([[1, 2, 3]])
