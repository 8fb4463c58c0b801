"""Faults 44 to 47, each test named by its row: settings that cannot be, results that would lie elsewhere."""

import math

import pytest

from kp_helpers.config import AppendedStage, BaseStage, ConfigError, Protocol, TestTime, profile
from kp_helpers.results import ResultsError, RunFolder

NUMBERS = [
    (BaseStage, ("learning_rate", "steps", "sigma", "init_scale", "images_per_step")),
    (AppendedStage, ("learning_rate", "steps", "sigma", "localization_sigma", "ratio")),
    (TestTime, ("views", "read_size")),
    (Protocol, ("runs", "train_images", "test_images")),
]


@pytest.mark.parametrize("value", [-1, 0, math.nan, math.inf, None])
@pytest.mark.parametrize(("group", "name"), [(group, name) for group, names in NUMBERS for name in names])
def test_44_a_rate_a_count_or_a_width_is_a_positive_finite_number(group, name, value):
    with pytest.raises(ConfigError, match=f"{group.__name__}.{name} is {value!r}: Input should be") as caught:
        group(**{name: value})
    assert "\n" not in str(caught.value)


def test_44_weights_may_be_zero_and_not_negative():
    assert AppendedStage(target_weight=0).target_weight == 0
    with pytest.raises(ConfigError, match="target_weight is -0.5: .* greater than or equal to 0"):
        AppendedStage(target_weight=-0.5)


def test_45_a_misspelt_key_names_the_nearest():
    settings = profile("quick")
    with pytest.raises(ConfigError, match="AppendedStage has no setting 'step'; the nearest is 'steps'"):
        settings.appended.replace(step=3)
    with pytest.raises(ConfigError, match="Profile has no setting 'apended'; the nearest is 'appended'"):
        settings.replace(apended=settings.appended)


@pytest.mark.parametrize("value", ["ten", "10", 2.5, True, [10]])
def test_46_a_wrong_type_is_no_number_of_steps(value):
    with pytest.raises(ConfigError, match="AppendedStage.steps is .*: Input should be a valid integer"):
        AppendedStage(steps=value)


@pytest.mark.parametrize("name", ["..", "../elsewhere", "/tmp/elsewhere", "a/../../b"])
def test_47_no_result_lies_outside_its_root(name, tmp_path):
    for names in ((name, "quick"), ("08_evaluate_3dpw", name)):
        with pytest.raises(ResultsError, match="is '.*', expected letters, digits"):
            RunFolder(tmp_path / "results", *names)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() or path.name == "elsewhere"]
