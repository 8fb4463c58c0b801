"""How near a prediction is to its joint: tolerance, meaningful direction, PCK, OKS, error.

Positions are (x, y) in pixels of the frame, (..., 2). A measure gives one value a prediction; `mean` then
leaves out what is not visible and says how many were counted. `stable_keypoints` holds the five evaluation
methods of the published base stage, on points in [0,1].
"""

from kp_helpers.metrics import stable_keypoints
from kp_helpers.metrics.lengths import (
    SIGMAS,
    auc,
    box_area,
    box_side,
    distance,
    head_box,
    head_size,
    long_side,
    normalised_error,
    oks,
    pck,
    sigma,
    torso_length,
)
from kp_helpers.metrics.score import Metric, Score, mean
from kp_helpers.metrics.tolerance import (
    DISC,
    LIMB_ENDS,
    SECTOR,
    in_direction,
    mirrored,
    off_axis,
    within,
    within_pixels,
)
