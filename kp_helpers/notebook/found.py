"""What a notebook's committed run found, as a notebook shows it."""

from IPython.display import Image, Markdown, display

from kp_helpers.results import project_path
from kp_helpers.results.found import found_picture, found_text


def found_here(notebook: str, results: str = "results") -> None:
    """Show `found_text` of a notebook of the checkout, or of another results folder, and its picture."""
    folder = project_path(results)
    display(Markdown(found_text(notebook, folder)))
    picture = found_picture(notebook, folder)
    if picture:
        display(Image(picture.read_bytes()))
