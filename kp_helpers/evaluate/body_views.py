"""How a person stands to the camera, told from the order of left and right in the picture.

Left and right look alike in a crop of the joint, so what tells them apart is which way the body faces.
"""

from collections.abc import Iterable

import pandas as pd

from kp_helpers.data import KeypointSample
from kp_helpers.evaluate.measures import known
from kp_helpers.evaluate.protocol import Found
from kp_helpers.evaluate.scores import score

FRONT, BACK, CROSSED = "front view", "back view", "crossed legs"
BODY_VIEWS = (FRONT, BACK, CROSSED)


def body_view(sample: KeypointSample) -> str:
    """One of `BODY_VIEWS`, empty where the hips are not known.

    A front view has the left hip right of the right one in the picture, a back view left of it. The legs are
    crossed where the ankles stand in the other order than the hips, whatever the view.
    """
    hips, ankles = (known(sample, f"left_{name}", f"right_{name}") for name in ("hip", "ankle"))
    if not hips:
        return ""
    facing = hips[0][0] > hips[1][0]
    if ankles and (ankles[0][0] > ankles[1][0]) != facing:
        return CROSSED
    return FRONT if facing else BACK


def by_body_view(found: Iterable[Found]) -> pd.DataFrame:
    """`score`'s rows with a column `body_view`."""
    found = [one for one in found if one.sample.visible[one.joint]]
    return score(found).assign(body_view=[body_view(one.sample) for one in found])
