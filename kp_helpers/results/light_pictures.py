"""Pictures of pages and result folders in few bytes."""

import io

from PIL import Image

_COLOURS, _QUALITY = 256, 80
"""A PNG of so few colours takes a third of the space of one in all colours; JPEG of this quality."""


def light_png(picture: bytes) -> bytes:
    """A PNG again, on white and in 256 colours; equal pictures give equal bytes."""
    lighter = io.BytesIO()
    _on_white(picture).quantize(_COLOURS, kmeans=2).save(lighter, "PNG", optimize=True)
    return lighter.getvalue()


def light_jpeg(picture: bytes) -> bytes:
    """A PNG as JPEG on white: lighter still where it shows pictures, and heavier where it is a chart."""
    lighter = io.BytesIO()
    _on_white(picture).save(lighter, "JPEG", quality=_QUALITY, optimize=True)
    return lighter.getvalue()


def _on_white(picture: bytes) -> Image.Image:
    with Image.open(io.BytesIO(picture)) as image:
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.convert("RGBA").getchannel("A"))
    return white
