"""Images: what each kind of file becomes, and which are refused."""

import numpy as np
import pytest
from PIL import Image

from kp_helpers.data import DataError
from kp_helpers.data.errors import DamagedImage
from kp_helpers.data.images import check_image, image_size, read_image


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
def test_row_18_other_kinds_have_a_defined_conversion(image, name, expected, tmp_path):
    assert corner(stored(tmp_path, image, name)) == pytest.approx(expected, abs=1e-6)


def test_row_17_a_rotation_tag_is_refused_or_applied(tmp_path):
    image = Image.new("RGB", (3, 2), "black")
    image.putpixel((0, 1), (255, 255, 255))
    tag = Image.Exif()
    tag[0x0112] = 6  # to be turned clockwise by a quarter
    path = stored(tmp_path, image, exif=tag)
    for use in (check_image, read_image):
        with pytest.raises(DataError, match="a.png: is rotated by its EXIF tag"):
            use(path)
    turned = read_image(path, rotation="apply")
    assert check_image(path, rotation="apply") == (2, 3)
    assert turned.shape == (3, 3, 2) and turned[:, 0, 0].tolist() == [1, 1, 1]


def noise(tmp_path, name: str) -> bytes:
    return stored(tmp_path, Image.effect_noise((64, 64), 50).convert("RGB"), name).read_bytes()


def refused(path, data: bytes, message: str) -> None:
    """Both the quick check and the reading name the file."""
    path.write_bytes(data)
    for use in (check_image, read_image):
        with pytest.raises(DamagedImage, match=f"{path.name}: .*{message}"):
            use(path)


def test_row_14_an_empty_file_or_a_page_is_no_image(tmp_path):
    refused(tmp_path / "empty.jpg", b"", "0 bytes that are no image")
    refused(tmp_path / "page.jpg", b"<html></html>", "13 bytes that are no image")


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp", "a.tif"])
def test_row_15_a_cut_off_image_is_refused(name, tmp_path):
    whole = noise(tmp_path, name)
    assert check_image(tmp_path / name) == (64, 64)
    refused(tmp_path / name, whole[: len(whole) // 2], "")


def test_bytes_behind_the_end_are_no_damage(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(noise(tmp_path, "a.jpg") + bytes(1000))
    assert check_image(path) == (64, 64)


def test_a_missing_image_is_no_damaged_one(tmp_path):
    for use in (check_image, read_image):
        with pytest.raises(DataError, match="none.jpg: no such image") as caught:
            use(tmp_path / "none.jpg")
        assert type(caught.value) is DataError


def test_row_16_a_huge_image_is_refused_before_it_is_decoded(tmp_path):
    for side in (10_001, 14_000):  # Pillow warns about the first and refuses the second itself
        path = stored(tmp_path, Image.new("1", (side, side)), f"{side}.png")
        with pytest.raises(DataError, match="expected at most 100000000 pixels"):
            read_image(path)
