"""`make site`: README, notebooks with their outputs, docs and the six verbs as pages, by Sphinx and MyST-NB.

The source folder is the checkout, so that every link that holds on GitHub holds here.
"""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = PROJECT["name"]
html_title = PROJECT["name"]
author = copyright = "The keypoint-kit contributors"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx-mathjax-offline"]
root_doc = "README"
include_patterns = [
    "README.md",
    "REPRODUCING.md",
    "CHANGELOG.md",
    "docs/*.md",
    "docs/site/verbs.rst",
    "notebooks/*.ipynb",
    "results/*/reference*/README.md",
    "results/benchmarks/README.md",
    "kp_helpers/figures/model/README.md",
    "kp_helpers/diffusion/published/README.md",
    "profiles/README.md",
    "tests/FAULTS.md",
]
nb_execution_mode = "off"  # what is shown is what the reference runs gave
myst_enable_extensions = ["dollarmath", "html_image"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header", "myst.xref_missing", "toc.not_included"]
autodoc_typehints = "description"
html_theme = "sphinx_book_theme"
html_theme_options = {"show_toc_level": 2, "home_page_in_toc": True, "navbar_persistent": []}
html_copy_source = False
html_show_search_summary = False  # a browser reads no second page from a disk
_PAGES = """

```{toctree}
:hidden:
:caption: Notebooks
:glob:
notebooks/*
```

```{toctree}
:hidden:
:caption: Reference
docs/using
docs/site/verbs
REPRODUCING
docs/deviations
docs/times
CHANGELOG
```
"""


def setup(app) -> None:
    app.connect("source-read", _with_pages)


def _with_pages(app, name: str, source: list[str]) -> None:
    """The list of pages after the README, where GitHub needs none."""
    if name == root_doc:
        source[0] += _PAGES
