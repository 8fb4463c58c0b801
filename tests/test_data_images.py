"""Images: what each kind of file becomes, and which are refused."""

import numpy as np
import pytest
from PIL import Image

from kp_helpers.data import DataError
from kp_helpers.data.images import image_size, read_image


def stored(tmp_path, image: Image.Image, name: str = "a.png", **options):
    path = tmp_path / name
    image.save(path, **options)
    return path


def corner(path, **options) -> list[float]:
    return read_image(path, **options)[:, 0, 0].tolist()


def test_rgb_is_divided_by_255_and_channels_come_first(tmp_path):
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    path = stored(tmp_path, Image.fromarray(pixels))
    image = read_image(path)
    assert np.array_equal(image.numpy(), (pixels / np.float32(255)).transpose(2, 0, 1))
    assert image_size(path) == (4, 2) and image.is_contiguous()


@pytest.mark.parametrize(
    ("image", "name", "expected"),
    [
        (Image.new("L", (2, 2), 51), "a.png", [0.2, 0.2, 0.2]),
        (Image.new("1", (2, 2), 1), "a.png", [1, 1, 1]),
        (Image.fromarray(np.full((2, 2), 13107, np.uint16)), "a.png", [0.2, 0.2, 0.2]),
        (Image.new("RGB", (2, 2), (255, 0, 51)).convert("P", palette=1), "a.png", [1, 0, 0.2]),
        (Image.new("RGBA", (2, 2), (255, 0, 0, 0)), "a.png", [1, 1, 1]),
        (Image.new("RGBA", (2, 2), (0, 0, 0, 51)), "a.png", [0.8, 0.8, 0.8]),
        (Image.new("LA", (2, 2), (0, 255)), "a.png", [0, 0, 0]),
        (Image.new("CMYK", (2, 2), (0, 255, 255, 0)), "a.tif", [1, 0, 0]),
    ],
)
def test_other_kinds_have_a_defined_conversion(image, name, expected, tmp_path):
    assert corner(stored(tmp_path, image, name)) == pytest.approx(expected, abs=1e-6)


def test_a_rotation_tag_is_refused_or_applied(tmp_path):
    image = Image.new("RGB", (3, 2), "black")
    image.putpixel((0, 1), (255, 255, 255))
    tag = Image.Exif()
    tag[0x0112] = 6  # to be turned clockwise by a quarter
    path = stored(tmp_path, image, exif=tag)
    with pytest.raises(DataError, match="a.png: is rotated by its EXIF tag"):
        read_image(path)
    turned = read_image(path, rotation="apply")
    assert turned.shape == (3, 3, 2) and turned[:, 0, 0].tolist() == [1, 1, 1]


def test_what_is_no_whole_image_is_refused(tmp_path):
    whole = stored(tmp_path, Image.effect_noise((64, 64), 50).convert("RGB"), "whole.jpg").read_bytes()
    for name, data, message in (
        ("empty.jpg", b"", "0 bytes that are no image"),
        ("page.jpg", b"<html></html>", "13 bytes that are no image"),
        ("cut.jpg", whole[: len(whole) // 2], "damaged or cut off"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=f"{name}: .*{message}"):
            read_image(tmp_path / name)
    with pytest.raises(DataError, match="none.jpg: no such image"):
        read_image(tmp_path / "none.jpg")


def test_a_huge_image_is_refused_before_it_is_decoded(tmp_path):
    for side in (10_001, 14_000):  # Pillow warns about the first and refuses the second itself
        path = stored(tmp_path, Image.new("1", (side, side)), f"{side}.png")
        with pytest.raises(DataError, match="expected at most 100000000 pixels"):
            read_image(path)
