"""What a notebook's committed run found, as a notebook shows it."""

from IPython.display import Markdown

from kp_helpers.results import project_path
from kp_helpers.results.found import found_text


def found_here(notebook: str, results: str = "results") -> Markdown:
    """`found_text` of a notebook of the checkout, or of another results folder."""
    return Markdown(found_text(notebook, project_path(results)))
