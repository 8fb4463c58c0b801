"""Predict over a test set, score, tabulate: `compare` for every run, then `score`, `summarise`, `table`.

`report` has every measure, `directions` the curve over the half-angle, `surroundings` what misses sit on,
and `differences` one method against others. An ablation is a `sweep` over `Variant`s, with `against` and
`over`. `judged`, `ordered`, `reached` and `clustered` give verdicts on claims. `references` is what
features hold without tokens, and `by_body_view` tells where sides are confused.
"""

from kp_helpers.evaluate.controls import (
    BASE,
    CHANCE,
    CONTROLS,
    MEAN,
    NEAREST,
    RANDOM,
    UNSUPERVISED,
    compare,
    mean_position,
    random_points,
)
from kp_helpers.evaluate.measures import ALL
from kp_helpers.evaluate.misses import (
    BODY_VIEWS,
    MISSES,
    ON_PERSON,
    body_view,
    by_body_view,
    pictured,
    points_on_person,
    surroundings,
)
from kp_helpers.evaluate.protocol import (
    Found,
    Framed,
    appended_name,
    base_tensors,
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
from kp_helpers.evaluate.ridge import references, ridge_name, with_labels
from kp_helpers.evaluate.scores import (
    PRIMARY,
    SHOWN,
    beside_paper,
    differences,
    directions,
    listed,
    report,
    score,
    summarise,
    table,
)
from kp_helpers.evaluate.spread import (
    clustering,
    hits_of_runs,
    map_correlations,
    share_of_lucky,
    spread_of_runs,
    token_cosines,
)
from kp_helpers.evaluate.variants import (
    GOAL,
    Design,
    Variant,
    against,
    designs,
    measured_variants,
    over,
    over_joints,
    sweep,
    variants_table,
)
from kp_helpers.evaluate.verdicts import (
    BETTER,
    NO_BETTER,
    WORSE,
    by_sign,
    clustered,
    decided,
    judged,
    ordered,
    reached,
)
from kp_helpers.evaluate.views import (
    VOTE_RADIUS,
    WAYS,
    by_views,
    humps,
    vote,
)
from kp_helpers.metrics.paper import FAILS, HOLDS, MEASURES, OPEN, PAPER, UNTESTABLE
