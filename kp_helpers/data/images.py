"""Reading one image: every file is either refused with a sentence or becomes RGB by a defined conversion."""

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from kp_helpers.data.errors import DataError

LARGEST = 100_000_000
"""Pixels; a larger image is refused before it is decoded."""
_ORIENTATION = 0x0112
_SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L")


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels as stored, read from the header alone."""
    with _opened(path) as image:
        return image.size


def read_image(path: Path, *, rotation: str = "refuse") -> torch.Tensor:
    """The image as float32 RGB (3, H, W) in [0,1].

    rotation: what to do with EXIF's: "refuse" where labels are in raw pixels, "apply" where they are not.
    Grey and palette images become RGB, CMYK by Pillow's formula, 16 bit is divided by 65535, transparency is
    laid over white. Raises DataError for a missing, damaged, truncated or too large file.
    """
    with _opened(path) as image:
        if image.getexif().get(_ORIENTATION, 1) != 1:
            if rotation != "apply":
                raise DataError(
                    f"{path}: is rotated by its EXIF tag, expected raw pixels as its labels are in"
                )
            image = ImageOps.exif_transpose(image)
        try:
            pixels = _rgb(image)
        except (OSError, SyntaxError, ValueError) as error:
            raise DataError(f"{path}: damaged or cut off ({error}), expected a whole image") from None
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def _opened(path: Path) -> Image.Image:
    if not path.is_file():
        raise DataError(f"{path}: no such image")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own bound is stricter
            image = Image.open(path)
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: {error}, expected at most {LARGEST} pixels") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        raise DataError(f"{path}: {path.stat().st_size} bytes that are no image Pillow can read") from None
    if image.width * image.height > LARGEST:
        image.close()
        raise DataError(f"{path}: {image.width} x {image.height}, expected at most {LARGEST} pixels")
    return image


def _rgb(image: Image.Image) -> np.ndarray:
    """Pixels (H, W, 3), float32 in [0,1], by the conversions that `read_image` names."""
    if image.mode in _SIXTEEN_BIT:
        grey = np.asarray(image).astype(np.float32) / 65535
        return np.repeat(grey[..., None], 3, axis=2).clip(0, 1)
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"), dtype=np.float32) / 255
