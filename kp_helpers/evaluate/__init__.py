"""Predict over a test set, score, tabulate: `compare` for every run, then `score`, `summarise`, `table`.

`report` has every measure, `directions` the curve over the half-angle, `misses` what misses sit on, and
`differences` one method against others.
"""

from kp_helpers.evaluate.protocol import (
    BASE,
    MEAN,
    Found,
    Framed,
    appended_name,
    compare,
    data_set,
    draw_run,
    framed,
    in_squares,
    learn,
    load_base,
    locate,
    nearest_token,
    unlabelled,
)
from kp_helpers.evaluate.scores import (
    MEASURES,
    PAPER,
    Measured,
    differences,
    directions,
    listed,
    report,
    score,
    summarise,
)
from kp_helpers.evaluate.surroundings import misses
from kp_helpers.evaluate.tables import beside_paper, table

__all__ = [
    "BASE",
    "MEAN",
    "MEASURES",
    "PAPER",
    "Found",
    "Framed",
    "Measured",
    "appended_name",
    "beside_paper",
    "compare",
    "data_set",
    "differences",
    "directions",
    "draw_run",
    "framed",
    "in_squares",
    "learn",
    "listed",
    "load_base",
    "locate",
    "misses",
    "nearest_token",
    "report",
    "score",
    "summarise",
    "table",
    "unlabelled",
]
