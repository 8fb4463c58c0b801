"""Lighter pictures, of 256 colours and narrower: of a figure, of a PNG, and all those of a notebook."""

import base64
import copy
import io
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from PIL import Image

if TYPE_CHECKING:  # it takes a second to import, and every run of a notebook would wait for it
    from nbformat import NotebookNode

_COLOURS = 256
_KIND = "image/png"


def lighter(page: "NotebookNode", width: int | None = None) -> "NotebookNode":
    """A copy of a notebook whose PNGs have 256 colours and at most `width` pixels in a row; None keeps
    their width. A picture that would become heavier stays as it is.
    """
    page = copy.deepcopy(page)
    for cell in page.cells:
        for output in cell.get("outputs", ()):
            if _KIND in output.get("data", {}):
                before = base64.b64decode(output.data[_KIND])
                after = reduced(before, width)
                output.data[_KIND] = base64.b64encode(min(before, after, key=len)).decode()
    return page


def drawn(figure: Figure, width: int | None = None, **options) -> bytes:
    """A figure as a `reduced` PNG; options: of `savefig`. Equal pictures are equal bytes."""
    png = io.BytesIO()
    figure.savefig(png, format="png", **options)
    return reduced(png.getvalue(), width)


def reduced(png: bytes, width: int | None = None) -> bytes:
    """A PNG in 256 colours; transparent places become white."""
    with Image.open(io.BytesIO(png)) as image:
        picture = Image.new("RGB", image.size, "white")
        picture.paste(image.convert("RGB"), mask=image.convert("RGBA").getchannel("A"))
    if width and picture.width > width:
        height = round(picture.height * width / picture.width)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    small = io.BytesIO()
    picture.quantize(_COLOURS).save(small, "PNG", optimize=True)
    return small.getvalue()
