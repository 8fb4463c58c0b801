"""What a control shows where no kernel runs: a picture, in exported pages and papermill's notebooks."""

import io
from abc import ABC, abstractmethod

from ipywidgets import DOMWidget
from matplotlib.figure import Figure


class Control(ABC):
    """Something with `controls`, the widget of a page with a kernel, and a figure for all other pages."""

    controls: DOMWidget

    @abstractmethod
    def figure(self) -> Figure:
        """What is seen, without the controls."""

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        """Both, for Jupyter to choose: a front end that has no kernel for the controls takes the picture."""
        shown = self.controls._repr_mimebundle_(include=include, exclude=exclude)
        return {**shown, "text/plain": type(self).__name__, "image/png": png(self.figure())}


def png(figure: Figure) -> bytes:
    """The figure as a PNG; equal figures are equal bytes."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()
