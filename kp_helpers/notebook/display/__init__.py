"""Figures and tables of the notebooks.

Every figure is closed as it is returned: the last line of a cell shows it once, and `RunFolder.figure` saves
it. Images are (3, H, W) in [0,1], maps (H, W), points (x, y) in [0,1].
"""

from kp_helpers.notebook.display.charts import (
    curves,
    grouped,
    histogram,
    losses,
    matrices,
    metrics_table,
    ranges,
    runs,
    settings_table,
    simplex,
    verdicts_table,
)
from kp_helpers.notebook.display.pictures import (
    COLOURS,
    HEAT,
    TRUE,
    before_after,
    grid,
    heat,
    heat_maps,
    keypoints,
    legend,
    mark,
    numbered,
    panoptic,
    picture,
    pictures,
    segments,
)
from kp_helpers.results.tables import data_name
