"""Predict over a test set, score, tabulate: `compare` for every run, then `score`, `summarise`, `table`.

`report` has every measure, `directions` the curve over the half-angle, `surroundings` what misses sit on, and
`differences` one method against others. An ablation is a `sweep` over `Variant`s, with `against` and `over`.
`judged`, `near_zero` and `clustered` give verdicts on claims.
"""

from kp_helpers.evaluate.ablation import (
    FAILS,
    HOLDS,
    MARGIN,
    OPEN,
    against,
    judged,
    measured_variants,
    over,
    variants_table,
    verdict,
    verdict_of_share,
)
from kp_helpers.evaluate.clustering import clustering, hits_of_runs
from kp_helpers.evaluate.controls import (
    BASE,
    CHANCE,
    CONTROLS,
    MEAN,
    NEAREST,
    RANDOM,
    compare,
    mean_position,
    random_points,
)
from kp_helpers.evaluate.designs import Design, designs
from kp_helpers.evaluate.findings import clustered, near_zero
from kp_helpers.evaluate.protocol import (
    Found,
    Framed,
    appended_name,
    data_set,
    draw_run,
    framed,
    in_squares,
    learn,
    load_base,
    locate,
    located,
    of_run,
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
from kp_helpers.evaluate.surroundings import MISSES, surroundings
from kp_helpers.evaluate.sweep import Variant, drawn, sweep
from kp_helpers.evaluate.tables import beside_paper, table
from kp_helpers.evaluate.views import VOTE_RADIUS, WAYS, by_views, humps, vote

__all__ = [
    "BASE",
    "CHANCE",
    "CONTROLS",
    "FAILS",
    "HOLDS",
    "MARGIN",
    "MEAN",
    "MEASURES",
    "MISSES",
    "NEAREST",
    "OPEN",
    "PAPER",
    "RANDOM",
    "VOTE_RADIUS",
    "WAYS",
    "Design",
    "Found",
    "Framed",
    "Measured",
    "Variant",
    "against",
    "appended_name",
    "beside_paper",
    "by_views",
    "clustered",
    "clustering",
    "compare",
    "data_set",
    "designs",
    "differences",
    "directions",
    "draw_run",
    "drawn",
    "framed",
    "hits_of_runs",
    "humps",
    "in_squares",
    "judged",
    "learn",
    "listed",
    "load_base",
    "locate",
    "located",
    "mean_position",
    "measured_variants",
    "near_zero",
    "of_run",
    "over",
    "random_points",
    "report",
    "score",
    "summarise",
    "surroundings",
    "sweep",
    "table",
    "unlabelled",
    "variants_table",
    "verdict",
    "verdict_of_share",
    "vote",
]
