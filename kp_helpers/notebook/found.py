"""What a notebook's committed run found, as a notebook shows it."""

from IPython.display import Image, Markdown, display

from kp_helpers.results import project_path
from kp_helpers.results.found import answered


def found_here(notebook: str, results: str = "results") -> None:
    """Show what is `answered` in a notebook of the checkout, or of another results folder."""
    text, picture = answered(notebook, project_path(results))
    display(Markdown(text))
    if picture:
        display(Image(picture.read_bytes()))
