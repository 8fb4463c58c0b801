"""Figures of the notebooks: closed, with the right number of places, and equal for equal input."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from kp_helpers import config
from kp_helpers.notebook import display
from kp_helpers.results import Metric
from kp_helpers.stages import StepRecord

IMAGES = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
MAPS = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(1))
POINTS = torch.tensor([[0.25, 0.25], [0.5, 0.5], [0.75, 0.25]])
RECORDS = [StepRecord(step, 1 / (step + 1), {"target": 0.2, "localization": 0.1}) for step in range(12)]
RUNS = pd.DataFrame(
    [
        {"joint": joint, "method": method, "run": run, "value": 10.0 * run}
        for joint in ("left_foot", "head")
        for method in ("appended", "base token")
        for run in range(3)
    ]
)
SWEPT = pd.DataFrame(
    [
        {"panel": panel, "line": "gaussian", "method": method, "steps": steps, "value": 30.0}
        for panel in ("in a direction", "within")
        for method, steps in (("a", 1), ("b", 10), ("c", 100))
    ]
).assign(low=10, high=50)

FIGURES = {
    "pictures": lambda: display.pictures(IMAGES, ["a", "b", "c"], title="t"),
    "drawings": lambda: display.pictures([np.zeros((8, 16, 3), np.uint8)]),
    "segments": lambda: display.segments([np.arange(64).reshape(8, 8)]),
    "heat_maps": lambda: display.heat_maps(IMAGES[0], {"word": MAPS[0], "flat": torch.ones(8, 8)}),
    "keypoints": lambda: display.keypoints(IMAGES, {"found": POINTS}, POINTS),
    "numbered": lambda: display.numbered(IMAGES, POINTS[None].expand(3, 3, 2)),
    "before_after": lambda: display.before_after(IMAGES, MAPS, MAPS, POINTS),
    "losses": lambda: display.losses(RECORDS),
    "curves": lambda: display.curves(SWEPT, "steps", log=True, marked=10, y="hits, %"),
    "ranges": lambda: display.ranges(SWEPT, marked="b", title="t"),
    "grouped": lambda: display.grouped(SWEPT.assign(method="m"), "steps", title="t"),
    "matrices": lambda: display.matrices({"a": np.eye(3), "b": -np.eye(3)}, ["x", "y", "z"]),
    "histogram": lambda: display.histogram({"a": [0.01, 0.1, 0.1], "b": [0.2, 1.0]}, x="error"),
    "simplex": lambda: display.simplex({"1:1:5": ((1, 1, 5), 20.0), "0:0:1": ((0, 0, 1), 5.0)}, "abc"),
    "runs": lambda: display.runs(RUNS, paper={"left_foot": (26.25, 18.06), "head": (9.0, None)}),
}


def pixels(figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_closed_and_the_same_each_time(name):
    figure = FIGURES[name]()
    assert not plt.get_fignums()
    assert pixels(figure) == pixels(FIGURES[name]())


def test_a_grid_leaves_no_empty_frames():
    figure, axes = display.grid(3, 2)
    assert len(axes) == 3 and len(figure.axes) == 4
    assert not any(axis.axison for axis in figure.axes)


def test_points_stand_where_they_are():
    _, axes = display.grid(1, 1)
    display.picture(axes[0], IMAGES[0])
    display.mark(axes[0], [(0.25, 0.75)], display.TRUE, "labelled", true=True)
    assert axes[0].collections[-1].get_offsets().tolist() == [[0.25, 0.75]]
    assert axes[0].get_ylim() == (1.0, 0.0), "y must point down"


def test_weights_stand_on_the_triangle_by_their_ratios():
    """1 : 1 : 2 lies half way up, whatever their sum; the corners are (0, 0), (1, 0) and (0.5, 0.87)."""
    values = {"a": ((1, 1, 2), 1.0), "b": ((10, 10, 20), 1.0), "c": ((0, 3, 0), 2.0)}
    axis = display.simplex(values, ("x", "y", "z")).axes[0]
    expected = [(0.5, 0.435), (0.5, 0.435), (1.0, 0.0)]
    assert np.allclose(axis.collections[0].get_offsets(), expected)


def test_methods_stand_side_by_side_for_each_value():
    rows = pd.DataFrame(
        [
            {"joint": joint, "method": method, "value": value, "low": value - 5, "high": value + 5}
            for joint, numbers in (("left_foot", (20.0, 40.0)), ("head", (60.0, 80.0)))
            for method, value in zip(("tokens", "ridge"), numbers, strict=True)
        ]
    )
    axis = display.grouped(rows, "joint").axes[0]
    dots = [part.get_offsets() for part in axis.collections if len(part.get_offsets()) == 2]
    assert [own[:, 0].tolist() for own in dots] == [[20.0, 60.0], [40.0, 80.0]]
    assert np.allclose([own[:, 1] for own in dots], [[-0.32, 0.68], [0.32, 1.32]])
    assert [text.get_text() for text in axis.get_yticklabels()] == ["left foot", "head"]


def test_a_curve_without_an_interval_has_no_band():
    rows = SWEPT.drop(columns=["low", "high"])
    figure = display.curves(rows, "steps", log=True)
    assert [len(axis.collections) for axis in figure.axes] == [0, 0]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["1", "10", "100"]


def test_the_settings_table_names_every_setting():
    table = display.settings_table(config.AppendedStage())
    assert list(table.index) == list(config.AppendedStage.model_fields)
    assert table.loc["steps", "value"] == "100" and table["meaning"].str.len().min() > 10


def test_measures_are_listed_as_they_will_be_saved():
    rows = [Metric(name="a", value=0.12345, n=3, unit="%"), Metric(name="b", value=None, n=0)]
    table = display.metrics_table(rows)
    assert table.loc["a"].tolist() == ["0.123", "%", 3] and table.loc["b", "value"] == "no cases"
    assert display.data_name("figures") != "3DPW" == display.data_name("3DPW")


def test_a_segment_of_some_size_is_named_and_a_class_keeps_its_colour():
    segments = np.zeros((20, 20), np.int32)
    segments[:10], segments[15, 15] = 1, 2
    _, axes = display.grid(2, 2)
    image = np.zeros((20, 20, 3), np.uint8)
    display.panoptic(axes[0], image, segments, ["sky", "ball"], ["ball", "sky"], "both")
    display.panoptic(axes[1], image, np.full((20, 20), 1), ["sky"], ["ball", "sky"])
    assert [text.get_text() for text in axes[0].texts] == ["sky"]
    first, second = (axis.images[0].get_array() for axis in axes)
    assert np.allclose(first[0, 0], second[0, 0])
    assert not np.allclose(first[0, 0], first[15, 15])
