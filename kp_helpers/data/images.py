"""Reading one image: every file is either refused with a sentence or becomes RGB by a defined conversion."""

import struct
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from kp_helpers.data.errors import DamagedImage, DataError, ImageProblems

SUFFIXES = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif"),
    *(".tif", ".tiff", ".webp", ".jp2", ".ppm", ".avif"),
)
"""Of files that are pictures of a kind that is read."""
LARGEST = 100_000_000
"""Pixels; a larger image is refused before it is decoded."""
SHOWN = 10
"""Problems that a sentence lists."""
_ORIENTATION, _QUARTER_TURNS = 0x0112, (5, 6, 7, 8)
_SIXTEEN_BIT = ("I", "I;16", "I;16B", "I;16L")
_ENDS = {"JPEG": (b"\xff\xd9", 64), "PNG": (b"IEND", 12)}
"""Format -> the mark at the end of a whole file, and within how many last bytes it is looked for."""


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels as stored, read from the header alone."""
    with _opened(path) as image:
        return image.size


def check_image(path: Path, *, rotation: str = "refuse") -> tuple[int, int]:
    """(width, height) of what `read_image` would give, without decoding a file that looks whole.

    Header and end mark are read; only a JPEG or PNG without its end mark, and any other format, is decoded to
    decide. Damage between the two is found by reading the image or by `manifest.verify`. Raises as
    `read_image` does.
    """
    with _opened(path) as image:
        (width, height), kind = image.size, image.format
        unread = kind == "PNG" and not any("exif" in str(key) for key in image.info)
        turn = 1 if unread else _orientation(path, image, rotation)  # Pillow decodes a PNG to look for it
    mark, reach = _ENDS.get(kind, (None, 0))
    if mark is None or mark not in _tail(path, reach):
        read_image(path, rotation=rotation)
    return (height, width) if turn in _QUARTER_TURNS else (width, height)


def check_images(
    paths: Iterable[Path], *, rotation: str = "refuse", skip_damaged: bool = False
) -> tuple[dict[Path, tuple[int, int]], list[DataError]]:
    """Path -> (width, height) of every image that can be used, and an error for each that cannot.

    A damaged image that is to be skipped is in neither. See `check_image` for what is looked at.
    """
    sizes, problems = {}, []
    for path in paths:
        try:
            sizes[path] = check_image(path, rotation=rotation)
        except DataError as error:
            if not (skip_damaged and isinstance(error, DamagedImage)):
                problems.append(error)
    return sizes, problems


def refuse_all(problems: Sequence[str | DataError]) -> None:
    """One error with the first problems and their number, if there are any."""
    if problems:
        damaged = any(isinstance(one, DamagedImage) for one in problems)
        told = first_of([str(one) for one in problems])
        raise ImageProblems(f"{len(problems)} problems with the images:\n{told}", damaged)


def first_of(sentences: Sequence[str]) -> str:
    """The first `SHOWN` sentences in a line each, and how many more there are."""
    more = [f"and {len(sentences) - SHOWN} more"] if len(sentences) > SHOWN else []
    return "\n".join([*sentences[:SHOWN], *more])


def read_image(path: Path, *, rotation: str = "refuse") -> torch.Tensor:
    """The image as float32 RGB (3, H, W) in [0,1].

    rotation: what to do with EXIF's: "refuse" where labels are in raw pixels, "apply" where they are not.
    Grey and palette images become RGB, CMYK by Pillow's formula, 16 bit is divided by 65535, transparency is
    laid over white. Raises DataError for a missing or too large file, DamagedImage for a damaged one.
    """
    with _opened(path) as image, _decoding(path):
        if _orientation(path, image, rotation) != 1:
            image = ImageOps.exif_transpose(image)
        pixels = _rgb(image)
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
        size = path.stat().st_size
        raise DamagedImage(f"{path}: {size} bytes that are no image Pillow can read") from None
    if image.width * image.height > LARGEST:
        image.close()
        raise DataError(f"{path}: {image.width} x {image.height}, expected at most {LARGEST} pixels")
    return image


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """What goes wrong inside is a damaged image."""
    try:
        yield
    except DataError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise DamagedImage(f"{path}: damaged or cut off ({error}), expected a whole image") from None


def _orientation(path: Path, image: Image.Image, rotation: str) -> int:
    """EXIF's number for how the image is turned, 1 if it is not; refused unless it may be applied."""
    with _decoding(path):
        turn = image.getexif().get(_ORIENTATION, 1)
    if turn != 1 and rotation != "apply":
        raise DataError(f"{path}: is rotated by its EXIF tag, expected raw pixels as its labels are in")
    return turn


def _tail(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(-min(count, path.stat().st_size), 2)
        return file.read()


def _rgb(image: Image.Image) -> np.ndarray:
    """Pixels (H, W, 3), float32 in [0,1], by the conversions that `read_image` names."""
    if image.mode in _SIXTEEN_BIT:
        grey = np.asarray(image).astype(np.float32) / 65535
        return np.repeat(grey[..., None], 3, axis=2).clip(0, 1)
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"), dtype=np.float32) / 255
