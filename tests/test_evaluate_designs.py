"""Designs: what a text names, and which pictures their runs have in common."""

from dataclasses import dataclass

import pytest

from kp_helpers import config, evaluate

PROTOCOL = config.Protocol(test_images=2, framing="squash")
JOINTS = ("left_foot", "head")


def test_a_text_names_designs():
    five, twenty = evaluate.designs("5x8, 20x10:head", PROTOCOL, JOINTS)
    assert five.protocol == PROTOCOL.replace(train_images=5, runs=8) and five.joints == JOINTS
    assert twenty.protocol == PROTOCOL.replace(train_images=20, runs=10) and twenty.joints == ("head",)
    assert (five.named("m"), twenty.named("m")) == ("m", "m, training images 20")
    assert evaluate.designs("5x8:head+left_foot", PROTOCOL, JOINTS)[0].joints == ("head", "left_foot")


def test_results_carry_the_designs_name():
    @dataclass(frozen=True)
    class Result:
        method: str

    five, twenty = evaluate.designs("5x8,20x10", PROTOCOL, JOINTS)
    assert five.renamed([Result("m")]) == [Result("m")]
    assert twenty.renamed([Result("m")]) == [Result("m, training images 20")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is no design, expected images x runs, such as '5x8'"),
        ("5", "'5' is no design"),
        ("5x0", "'5x0' is no design"),
        ("5x8,", "'' is no design"),
        ("5x8:elbow", "'5x8:elbow' names 'elbow', expected one of left_foot, head"),
        ("5x8,5x10", "'5x10' has 5 images like one before"),
    ],
)
def test_a_text_that_names_none_is_refused(text, message):
    with pytest.raises(config.ConfigError, match=f"designs: {message}"):
        evaluate.designs(text, PROTOCOL, JOINTS)


def test_runs_share_their_pictures(tiny_threedpw):
    sets = [evaluate.data_set(tiny_threedpw, split, ("head",)) for split in ("train", "test")]
    drawn = [
        evaluate.draw_run(*sets, "head", 1, design.protocol)
        for design in evaluate.designs("1x2,3x2", PROTOCOL, ("head",))
    ]
    (few, test), (many, same) = drawn
    assert [one.name for one in test] == [one.name for one in same]
    assert [one.name for one in few] == [one.name for one in many[:1]] and len(many) == 3
