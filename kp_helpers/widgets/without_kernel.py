"""What a control shows where no kernel runs: a picture, in exported pages and papermill's notebooks."""

import io

from matplotlib.figure import Figure


class Control:
    """Something with `controls`, the widget of a page with a kernel, and `figure()` for all other pages."""

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        """Both, for Jupyter to choose: a front end that has no kernel for the controls takes the picture."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.controls.model_id}
        shown = {"text/plain": type(self).__name__, "image/png": png(self.figure())}
        return {**shown, "application/vnd.jupyter.widget-view+json": view}


def png(figure: Figure) -> bytes:
    """The figure as a PNG; equal figures are equal bytes."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()
