"""An executed notebook as one HTML page in which nothing runs that the notebook's data may have brought."""

import base64
import re

import bleach
import nbformat
from bleach.css_sanitizer import CSSSanitizer
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from kp_helpers.results.light_pictures import light_jpeg, light_png
from kp_helpers.results.style import NOTEBOOK

_TEMPLATE = f"""{{%- extends 'lab/index.html.j2' -%}}
{{%- block notebook_css -%}}<style>{NOTEBOOK}</style>{{%- endblock notebook_css -%}}
{{%- block html_head_js -%}}{{%- endblock html_head_js -%}}
{{%- block html_head_js_mermaidjs -%}}{{%- endblock html_head_js_mermaidjs -%}}
"""
"""JupyterLab's page with a style of our own in the place of its quarter of a megabyte."""
_RUNNING = re.compile(r"<(script|style)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_CONTROL = "application/vnd.jupyter.widget-view+json"
_LARGE = 4_000
"""Bytes of a PNG from which on there is something to save."""
_TAGS = frozenset(bleach.ALLOWED_TAGS) | {
    *(
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "p",
        "br",
        "hr",
        "div",
        "span",
        "pre",
        "img",
        "figure",
        "figcaption",
    ),
    *("table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "sub", "sup", "del", "dl", "dt", "dd"),
    *("details", "summary"),
}


def notebook_page(text: str) -> str:
    """The page of a notebook given as its JSON text, without scripts and handlers in outputs and prose.

    Of a control, whose script would come from elsewhere, the picture that stands beside it is shown, and
    nothing of a progress bar, whose text stays at its start. Charts have 256 colours and pictures become
    JPEG; `figures/` has them as PNG.
    """
    exporter = HTMLExporter(sanitize_html=True, filters={"clean_html": clean}, raw_template=_TEMPLATE)
    notebook = nbformat.reads(text, as_version=4)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _is_bare(output.get("data", {}))]
            for output in cell.outputs:
                _lighten(output.get("data", {}))
    page, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": _title(notebook)}})
    return page


def _title(notebook: NotebookNode) -> str:
    """The first heading, or "Notebook"."""
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    heading = re.search(r"^# (.+)$", prose, re.MULTILINE)
    return heading[1] if heading else "Notebook"


def _is_bare(data: dict) -> bool:
    """Whether an output is a control without a picture."""
    return _CONTROL in data and data.keys() <= {_CONTROL, "text/plain"}


def _lighten(data: dict) -> None:
    """Put a lighter PNG in the place of an output's PNG, or JPEG where that is lighter still."""
    png = base64.b64decode(data.get("image/png", ""))
    if len(png) < _LARGE:
        return
    found = {"image/png": min(png, light_png(png), key=len), "image/jpeg": light_jpeg(png)}
    kind, picture = min(found.items(), key=lambda one: len(one[1]))
    del data["image/png"]
    data[kind] = base64.b64encode(picture).decode()


def clean(html: str | bytes) -> str:
    """HTML with headings, tables, links and pictures, without scripts, handlers and foreign styles.

    nbconvert's own filter would turn headings and table bodies into visible tags.
    """
    html = html.decode() if isinstance(html, bytes) else str(html)
    return bleach.clean(
        _RUNNING.sub("", html),
        tags=_TAGS,
        attributes=_is_allowed,
        protocols={*bleach.ALLOWED_PROTOCOLS, "data"},
        css_sanitizer=CSSSanitizer(),
        strip=True,
    )


def _is_allowed(tag: str, name: str, value: str) -> bool:
    if name == "src":
        return tag == "img" and (not value.startswith("data:") or value.startswith("data:image/"))
    if name == "href":
        return tag == "a" and not value.startswith("data:")
    return name in ("class", "id", "style", "alt", "title", "width", "height", "colspan", "rowspan", "open")
