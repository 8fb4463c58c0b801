"""The still picture of a control, for readers without a kernel: exported pages, papermill's notebooks."""

import io
from abc import ABC, abstractmethod

from ipywidgets import DOMWidget
from matplotlib.figure import Figure


class Still(ABC):
    """Something with controls that shows, where no kernel runs, a picture of its last state instead.

    controls: the widget that a page with a kernel shows.
    """

    controls: DOMWidget

    @abstractmethod
    def figure(self) -> Figure:
        """What is seen, without the controls."""

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        """Both, for Jupyter to choose: a front end that has no kernel for the controls takes the picture."""
        shown = self.controls._repr_mimebundle_(include=include, exclude=exclude)
        return {**shown, "text/plain": type(self).__name__, "image/png": png(self.figure())}


def png(figure: Figure, dpi: int = 100) -> bytes:
    """The figure as a PNG; equal figures are equal bytes."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=dpi, bbox_inches="tight", metadata={"Software": None})
    return picture.getvalue()


def lines(*each: str) -> str:
    """Lines of HTML that stand close, and break where a name is long; the caller escapes what they hold."""
    style = "line-height: 1.35; overflow-wrap: anywhere"
    return f"<div style='{style}'>{'<br>'.join(each)}</div>" if each else ""
