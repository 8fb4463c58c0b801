"""Predict over a test set, score, tabulate: `compare` for every run, then `score`, `summarise`, `table`.

`report` has every measure, `directions` the curve over the half-angle, `surroundings` what misses sit on, and
`differences` one method against others. An ablation is a `sweep` over `Variant`s, with `against` and `over`.
`judged`, `near_zero`, `clustered` and `reached` give verdicts on claims. `references` is what features hold
without tokens, `gains` and `greedy` choose among ideas, `pseudo_labelled` lets an embedding label
pictures, and `by_body_view` tells where sides are confused.
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
from kp_helpers.evaluate.body_views import BODY_VIEWS, body_view, by_body_view
from kp_helpers.evaluate.clustering import clustering, hits_of_runs
from kp_helpers.evaluate.compared_embeddings import (
    average,
    map_correlations,
    side_by_side,
    token_cosines,
)
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
from kp_helpers.evaluate.goals import reached
from kp_helpers.evaluate.ideas import GOAL, Idea, candidates, combined, gains, greedy, over_joints
from kp_helpers.evaluate.measures import ALL
from kp_helpers.evaluate.pictured import pictured
from kp_helpers.evaluate.prior import Prior, prior
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
from kp_helpers.evaluate.pseudo_labels import learn_with, pseudo_labelled
from kp_helpers.evaluate.references import references, ridge_name, with_labels
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
from kp_helpers.evaluate.sweep import Variant, sweep
from kp_helpers.evaluate.tables import beside_paper, table
from kp_helpers.evaluate.views import VOTE_RADIUS, WAYS, by_views, humps, vote

__all__ = [
    "ALL",
    "BASE",
    "BODY_VIEWS",
    "CHANCE",
    "CONTROLS",
    "FAILS",
    "GOAL",
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
    "Idea",
    "Measured",
    "Prior",
    "Variant",
    "against",
    "appended_name",
    "average",
    "beside_paper",
    "body_view",
    "by_body_view",
    "by_views",
    "candidates",
    "clustered",
    "clustering",
    "combined",
    "compare",
    "data_set",
    "designs",
    "differences",
    "directions",
    "draw_run",
    "framed",
    "gains",
    "greedy",
    "hits_of_runs",
    "humps",
    "in_squares",
    "judged",
    "learn",
    "learn_with",
    "listed",
    "load_base",
    "locate",
    "located",
    "map_correlations",
    "mean_position",
    "measured_variants",
    "near_zero",
    "of_run",
    "over",
    "over_joints",
    "pictured",
    "prior",
    "pseudo_labelled",
    "random_points",
    "reached",
    "references",
    "report",
    "ridge_name",
    "score",
    "side_by_side",
    "summarise",
    "surroundings",
    "sweep",
    "table",
    "token_cosines",
    "unlabelled",
    "variants_table",
    "verdict",
    "verdict_of_share",
    "vote",
    "with_labels",
]
