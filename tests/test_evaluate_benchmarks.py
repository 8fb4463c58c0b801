"""The five evaluation methods end to end, against numbers by hand."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from kp_helpers import config, evaluate, regress
from kp_helpers.data import DataError
from kp_helpers.data.sample import KeypointSample
from kp_helpers.evaluate import benchmark_sets, benchmarks
from kp_helpers.evaluate.benchmark_sets import BENCHMARKS
from kp_helpers.evaluate.benchmarks import Labelled, Tokens

ROOT = Path(__file__).parents[1]


def sample(name: str, count: int, hidden: int = -1) -> KeypointSample:
    """A picture of 40 x 20 pixels whose landmark k is at (k, k / 2 + 1); one of them may be unknown."""
    image = torch.rand(3, 20, 40, generator=torch.Generator().manual_seed(len(name)))
    joints = {str(k): (float(k), k / 2 + 1) for k in range(count)}
    visible = {str(k): k != hidden for k in range(count)}
    joints |= {str(hidden): (float("nan"),) * 2} if hidden >= 0 else {}
    size = {"frame_size": (40, 20), "box": (0.0, 0.0, 40.0, 20.0), "pixels": lambda: image}
    return KeypointSample(name=name, image_path=Path(name), joints=joints, visible=visible, **size)


class Set(list):
    """Samples with the names of their joints, as a loader has them."""

    def __init__(self, samples):
        super().__init__(samples)
        self.joints = tuple(self[0].joints)


def test_landmarks_are_those_of_the_squashed_square():
    found = benchmarks.labelled(BENCHMARKS["taichi"], Set([sample("a", 4, hidden=2)]), 0, seed=0)
    assert np.allclose(found.points[0], [(0, 0.05), (1 / 40, 0.075), (0.5, 0.5), (3 / 40, 0.125)])
    assert found.seen.tolist() == [[True, True, False, True]]


def test_a_smaller_draw_begins_a_larger_one():
    drawn = [
        benchmarks.labelled(BENCHMARKS["taichi"], Set(sample(f"{n}", 3) for n in range(9)), count, 4)
        for count in (3, 7, 0)
    ]
    names = [[one.name for one in part.samples] for part in drawn]
    assert names[1][:3] == names[0] and names[2][:7] == names[1] and len(names[2]) == 9


def random_task(name: str, count: int, fit: int = 60):
    """Found keypoints and landmarks that follow from them by a linear map, to fit and to test."""
    draw = np.random.default_rng(5)
    weights = draw.normal(size=(8, 2 * count)) / 4
    parts = []
    for n in (fit, 7):
        found = draw.random((n, 4, 2))
        points = regress.predict(weights, found)
        seen = np.ones((n, count), bool)
        parts.append((found, Labelled([sample(f"{name}{i}", count) for i in range(n)], points, seen)))
    return parts


@pytest.mark.parametrize("name", benchmark_sets.FIVE)
def test_each_way_is_perfect_where_landmarks_follow_from_keypoints(name):
    count = 32 if name == "human3.6m" else 5
    (found, fit), (seen, test) = random_task(name, count)
    predicted = regress.predict(benchmarks.fitted(BENCHMARKS[name], found, fit), seen)
    rows = benchmarks.scored(BENCHMARKS[name], "m", 0, predicted, test)
    (own, hits, area) = benchmarks.summary(rows)
    assert own.value == pytest.approx(100 if name == "deepfashion" else 0, abs=1e-6)
    assert (hits.value, area.value) == (pytest.approx(100), pytest.approx(95))
    assert own.unit == benchmark_sets.UNITS[own.measure] and own.paper == BENCHMARKS[name].published


def test_numbers_stand_in_the_units_of_the_published_ones():
    """Every point is 0.035 of the side to the right of where it is: within 16 of the 20 thresholds."""
    values = {}
    for name in benchmark_sets.FIVE:
        count = 32 if name == "human3.6m" else 5
        _, (_, test) = random_task(name, count)
        test.seen[:, 0] = False
        rows = benchmarks.scored(BENCHMARKS[name], "m", 0, test.points + (0.035, 0), test)
        values[name] = [one.value for one in benchmarks.summary(rows)]
    _, (_, test) = random_task("celeba_aligned", 5)
    eyes = np.linalg.norm(test.points[:, 0] - test.points[:, 1], axis=1)
    assert values["celeba_aligned"][0] == pytest.approx(100 * (0.035 / eyes).mean())
    assert values["cub_aligned"][0] == pytest.approx(3.5)
    assert values["taichi"][0] == pytest.approx(4 * 0.035 * 256)
    assert values["human3.6m"][0] == pytest.approx(0.035 * 128)
    assert values["deepfashion"][0] == 0, "0.035 of 256 are more than 6 pixels"
    assert values["cub_aligned"][1:] == [pytest.approx(100), pytest.approx(80)]


def test_a_picture_without_landmarks_does_not_count():
    _, (_, test) = random_task("cub_aligned", 5)
    test.seen[2] = False
    rows = benchmarks.scored(BENCHMARKS["cub_aligned"], "m", 0, test.points, test)
    assert len(rows) == 6 and rows["own"].notna().all()


def test_the_mean_place_is_over_what_is_seen():
    points = np.array([[(0.2, 0.4), (0.5, 0.5), (0.1, 0.1)], [(0.4, 0.8), (0.9, 0.1), (0.3, 0.3)]])
    seen = np.array([[True, False, False], [True, True, False]])
    place = benchmarks.mean_place(Labelled([], points, seen), 3)
    assert np.allclose(place, [[(0.3, 0.6), (0.9, 0.1), (0.5, 0.5)]] * 3)


def test_all_pictures_are_predicted_as_one_at_a_time(tiny_sd, monkeypatch):
    monkeypatch.setattr(benchmarks, "AT_ONCE", 1)
    samples, one = [sample("a", 2), sample("bb", 2)], BENCHMARKS["taichi"]
    context = torch.randn(6, tiny_sd.context_width, generator=torch.Generator().manual_seed(0))
    settings = config.profile("smoke").test
    tokens = Tokens(context, torch.tensor([4, 1]))
    found = benchmarks.predict(tiny_sd, tokens, samples, one.framing, settings)
    images = evaluate.framed(samples, tiny_sd.image_size, one.framing).images
    expected = evaluate.locate(tiny_sd, context, images, settings, [4, 1])
    assert np.allclose(found, expected)


def test_wrong_names_are_told():
    with pytest.raises(DataError, match="benchmark 'celeba' is unknown, did you mean 'celeba_"):
        benchmark_sets.forms("celeba", benchmark_sets.plan_of("quick"))
    with pytest.raises(DataError, match="profile 'quik' is unknown, did you mean 'quick'"):
        benchmark_sets.plan_of("quik")
    assert config.profile("paper-10000").base.steps == 10_000


def test_the_table_of_arguments_names_settings_that_exist():
    cells = json.loads((ROOT / "notebooks" / "11_unsupervised_benchmarks.ipynb").read_text())["cells"]
    text = "".join(next(cell["source"] for cell in cells if "--num_tokens" in "".join(cell["source"])))
    groups = {"BaseStage": config.BaseStage, "Reading": config.Reading, "TestTime": config.TestTime}
    groups |= {"Augmentation": config.Augmentation}
    named = re.findall(r"`(BaseStage|Reading|TestTime|Augmentation)\.(\w+)`", text)
    assert len(named) >= 16
    assert all(field in groups[group].model_fields for group, field in named)
    assert {"fit", "most", "voters"} <= {*benchmark_sets.Plan.__dataclass_fields__}
