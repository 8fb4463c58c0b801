import json

import pytest
from pydantic import ValidationError

from kp_helpers import config
from kp_helpers.config import AppendedStage, Augmentation, BaseStage, ConfigError, Profile, Reading, TestTime

GROUPS = [Augmentation, Reading, BaseStage, AppendedStage, TestTime, config.Protocol, Profile]


def test_defaults_are_the_papers():
    base, appended, test = BaseStage(), AppendedStage(), TestTime()
    assert (base.tokens, base.steps, base.images_per_step, base.learning_rate) == (500, 500, 4, 5e-3)
    assert (base.candidates, base.keypoints, base.sigma, base.sigma_pixels) == (25, 10, 2.0, 2.0)
    assert (base.localization_weight, base.equivariance_weight) == (100, 1000)
    assert (appended.ratio, appended.steps, appended.target, appended.sigma) == (0.2, 100, "gaussian", 0.05)
    weights = appended.localization_weight, appended.equivariance_weight, appended.target_weight
    assert weights == (1, 1, 5)
    assert (appended.objective, appended.mode, appended.appended_tokens(500)) == ("mse", "coupled", 100)
    assert (base.reading.map_size, test.views) == (128, 1)
    protocol = config.Protocol()
    assert (protocol.runs, protocol.train_images, protocol.test_images) == (8, 5, 10)


@pytest.mark.parametrize("group", GROUPS)
def test_every_field_is_described_in_one_line(group):
    for field in group.model_fields.values():
        assert field.description and "\n" not in field.description


@pytest.mark.parametrize(
    "values, sentence",
    [
        ({"learning_rat": 0.1}, "BaseStage has no setting 'learning_rat'; the nearest is 'learning_rate'"),
        ({"reading": {"map_sise": 64}}, "Reading has no setting 'map_sise'; the nearest is 'map_size'"),
        ({"steps": "ten"}, "BaseStage.steps is 'ten': .*integer"),
        ({"steps": True}, "BaseStage.steps is True: .*integer"),
        ({"steps": 2.5}, "BaseStage.steps is 2.5"),
        ({"steps": 0}, "BaseStage.steps is 0: .*1"),
        ({"seed": -1}, "BaseStage.seed is -1"),
        ({"sigma": 0.0}, "BaseStage.sigma is 0.0: .*greater than 0"),
        ({"learning_rate": float("nan")}, "BaseStage.learning_rate is nan: .*finite"),
        ({"learning_rate": float("inf")}, "BaseStage.learning_rate is inf: .*finite"),
        ({"localization_weight": -0.5}, "localization_weight is -0.5: .* greater than or equal to 0"),
        ({"keypoints": 30}, "30, 25, 500, expected an ascending order"),
        ({"augmentation": {"zoom_min": 2.0}}, "zoom_min is 2.0, expected at most zoom_max, 1.0"),
    ],
)
def test_a_wrong_setting_is_named_in_one_sentence(values, sentence):
    """Each type of `config.settings` once; a group's field takes its bounds from its type."""
    with pytest.raises(ConfigError, match=sentence) as caught:
        BaseStage(**values)
    assert "\n" not in str(caught.value)


def test_settings_are_frozen_and_replaced_with_the_same_checks():
    base = BaseStage()
    with pytest.raises(ValidationError, match="frozen"):
        base.steps = 3
    assert base.replace(steps=3).steps == 3 and base.steps == 500
    with pytest.raises(ConfigError, match="nearest is 'steps'"):
        base.replace(step=3)


@pytest.mark.parametrize("name", ["smoke", "quick", "paper"])
def test_profiles_come_back_from_json(name):
    profile = config.profile(name, seed=4)
    assert profile.base.seed == profile.appended.seed == profile.protocol.seed == 4
    assert Profile(**json.loads(profile.model_dump_json())) == profile


def test_layers_may_come_as_a_list():
    assert Reading(layers=["a", "b"]).layers == ("a", "b")


def test_the_papers_preset_changes_nothing_and_the_best_what_it_names():
    paper, best = (config.profile("quick", seed=3, preset=name) for name in ("paper", "best"))
    assert paper == config.profile("quick", seed=3)
    assert best.base == paper.base and best.protocol == paper.protocol and best != paper
    assert best.appended.mode == paper.appended.mode and best.appended.seed == 3
    for read, of_paper in (
        (best.appended.reading, paper.appended.reading),
        (best.test.reading, paper.test.reading),
    ):
        assert read == of_paper and read.map_size == 64
    with pytest.raises(ConfigError, match="preset is 'bset', expected one of paper, best"):
        config.profile("quick", preset="bset")


def test_an_unknown_profile_is_named():
    with pytest.raises(ConfigError, match="'fast', expected one of smoke, quick, paper"):
        config.profile("fast")


def test_read_out_mode_keeps_eight_views_unless_told_otherwise():
    assert BaseStage().augmentation_pool == AppendedStage().pool == 0
    assert AppendedStage(mode="readout").pool == 8
    assert AppendedStage(mode="readout", augmentation_pool=0).pool == 0
    assert config.profile("quick").appended.pool == 4


def test_sigma_follows_the_map():
    assert BaseStage(reading=Reading(map_size=64)).sigma_pixels == 1.0
