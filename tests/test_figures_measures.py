"""The measures of a figures model, on hand-made maps and features whose answer is known."""

from functools import partial

import numpy as np
import pytest
import torch

from kp_helpers import config, diffusion
from kp_helpers.figures import evaluate, joint_fits, pointing
from kp_helpers.figures.__main__ import main
from kp_helpers.figures.captions import Caption
from kp_helpers.figures.evaluate import tables
from kp_helpers.figures.export import export
from kp_helpers.figures.held_out import JOINTS, Joints, held_out, one_person_pictures
from kp_helpers.figures.joint_fits import taught
from kp_helpers.figures.pictures import HELD_OUT_SEED
from kp_helpers.figures.scene import LIMBS
from kp_helpers.heatmaps import gaussian_target
from kp_helpers.stages import linear
from kp_helpers.stages.linear import STRENGTH

FEW = {2: 2, 3: 1}


@pytest.fixture(scope="module")
def figures():
    return diffusion.load("figures")


@pytest.fixture(scope="module")
def pictures():
    return held_out(6)


@pytest.fixture(scope="module")
def one_person(figures):
    return one_person_pictures(figures, tested=6, shown=4)


def seen_joints(count: int, seed: int) -> tuple[list[torch.Tensor], Joints]:
    """Features (15, 64, 64) of pictures with a blob at each joint, each in a channel of its own, and two of
    noise; the left elbow has none, and the knees have one channel in common, in which either may be higher.
    """
    generator = torch.Generator().manual_seed(seed)
    points = 0.1 + 0.8 * torch.rand(count, len(JOINTS), 2, generator=generator)
    left, right = JOINTS.index("left_knee"), JOINTS.index("right_knee")
    points[:, left, 0] = points[:, right, 0] / 2  # far enough from each other
    points[:, right, 0] = 0.5 + points[:, right, 0] / 2
    features = gaussian_target(points, joint_fits.SIZE, joint_fits.SIGMA)
    features[:, JOINTS.index("left_elbow")] = 0
    higher = torch.rand(count, 1, 1, generator=generator)
    features[:, left] = features[:, left] * (0.5 + higher) + features[:, right] * (1.5 - higher)
    features[:, right] = 0
    noise = torch.rand(count, 2, joint_fits.SIZE, joint_fits.SIZE, generator=generator)
    joints = Joints(points, torch.ones(count, len(JOINTS), dtype=torch.bool))
    return list(torch.cat([features, noise], dim=1)), joints


def test_a_ridge_finds_the_joints_that_a_channel_shows():
    labels, tests = seen_joints(10, 0), seen_joints(20, 1)
    measures = joint_fits.ridge_measures(*labels, *tests, {2: 5, 5: 1})
    unclear = ("left_elbow", "left_knee", "right_knee")
    for joint in set(JOINTS) - set(unclear):
        assert measures["ridge"][joint] == {"2": 1.0, "5": 1.0}
        assert measures["wrong_side"].get(joint, {"5": 0.0})["5"] == 0.0
    assert measures["ridge"]["left_elbow"]["5"] < 0.3
    assert "head" not in measures["wrong_side"]
    for joint in ("left_knee", "right_knee"):
        share = measures["ridge"][joint]["5"]
        assert 0.1 < share < 0.9 and measures["wrong_side"][joint]["5"] == pytest.approx(1 - share)
    mean = sum(own["5"] for own in measures["ridge"].values()) / 13
    assert measures["ridge_mean"]["5"] == pytest.approx(mean)


def test_only_visible_joints_are_labelled_and_tested():
    labels, (features, joints) = seen_joints(4, 0), seen_joints(5, 1)
    joints.visible[:, JOINTS.index("head")] = False
    joints.points[0, JOINTS.index("left_foot")] = 9.0
    joints.visible[0, JOINTS.index("left_foot")] = False
    measures = joint_fits.ridge_measures(*labels, features, joints, {4: 1})
    assert measures["ridge"]["head"]["4"] is None and measures["ridge_intervals"]["head"]["4"] is None
    assert measures["ridge"]["left_foot"]["4"] == 1.0
    labels[1].visible[:2, 0] = False
    with pytest.raises(ValueError, match="2 labelled pictures show left_foot, expected at least 4 for 1 x 4"):
        joint_fits.fits(*labels, {4: 1})


def test_the_fits_are_those_of_the_kits_ridge():
    features, joints = seen_joints(3, 2)
    weights = joint_fits.fits(features, joints, {3: 1})
    for column, joint in enumerate(JOINTS):
        targets = gaussian_target(joints.points[:, column], 64, 0.05)
        known = linear.fit(linear.moments(torch.stack(features), targets), STRENGTH * 64**2)
        assert torch.allclose(weights[joint, 3][0], known.weights.float(), atol=1e-6)


def test_wrong_sides_count_what_is_near_either_joint():
    errors = np.array([0.01, 0.20, 0.04, 0.30])
    others = np.array([0.20, 0.01, 0.03, 0.30])
    assert joint_fits.wrong_side(errors, others) == pytest.approx(2 / 3)
    assert joint_fits.wrong_side(errors[3:], others[3:]) is None


def test_labelled_and_tested_pictures_are_others(one_person):
    labelled, tested = one_person
    assert len(tested.seeds) == 6 and not set(labelled.seeds) & set(tested.seeds)
    assert min(labelled.seeds + tested.seeds) >= HELD_OUT_SEED
    assert labelled.joints.visible.sum(dim=0).min() >= 4
    visible = labelled.joints.points[labelled.joints.visible]
    assert ((visible >= 0) & (visible <= 1)).all()


def test_the_ridge_table_of_the_shipped_model(figures, one_person):
    measures = joint_fits.ridge_table(figures, one_person, 100, FEW)
    assert list(measures["ridge"]) == list(JOINTS)
    for joint, shares in measures["ridge"].items():
        assert list(shares) == ["2", "3"]
        for size, share in shares.items():
            low, high = measures["ridge_intervals"][joint][size]
            assert 0 <= low <= share <= high <= 1


def test_a_limbs_phrase_is_the_mean_of_its_two_words(pictures):
    number = next(n for n, caption in enumerate(pictures.captions) if pointing.named(caption, ("left arm",)))
    picture, caption = pictures.pictures[number], pictures.captions[number]
    ((_, entity),) = pointing.named(caption, ("left arm",))
    tokens = caption.tokens_of("left arm", entity)
    row, column = np.argwhere(picture.mask("left arm", entity))[0]
    maps = torch.zeros(1 + len(caption.words), 128, 128)
    maps[tokens["side"], 0, 0] = 0.6
    maps[tokens["noun"], row, column] = 1.0
    found = [one for one in pointing.limb_rows(picture, caption, {"mean": maps}) if one["limb"] == "left arm"]
    assert found == [{"limb": "left arm", "inside": True, "other": False}]
    maps[tokens["side"], 0, 0] = 1.1
    (found,) = [
        one for one in pointing.limb_rows(picture, caption, {"mean": maps}) if one["limb"] == "left arm"
    ]
    assert not found["inside"] and not found["other"]


def test_a_maximum_on_the_other_arm_is_a_wrong_side(pictures):
    for picture, caption in zip(pictures.pictures, pictures.captions, strict=True):
        for limb, entity in pointing.named(caption, LIMBS):
            other = picture.mask(pointing.other_side(limb), entity)
            if other.any():
                maps = torch.from_numpy(other).float().expand(1 + len(caption.words), -1, -1)
                rows = pointing.limb_rows(picture, caption, {"mean": maps})
                assert {"limb": limb, "inside": False, "other": True} in rows
                return
    pytest.fail("no caption names a limb whose other side is seen")


def test_shares_of_limbs():
    rows = [("left arm", True, False), ("left arm", False, True), ("left arm", False, False)]
    rows += [("right leg", False, False)]
    rows = [dict(zip(("limb", "inside", "other"), row, strict=True)) for row in rows]
    shares = pointing.by_limb(rows)
    assert shares["left arm"] == {"inside": 1 / 3, "other": 1 / 3, "wrong_side": 0.5, "n": 3}
    assert shares["right leg"]["wrong_side"] is None
    assert list(shares) == ["left arm", "right leg"]


def test_words_that_the_tokenizer_cuts_keep_their_maps_apart(figures):
    words = ("a", "red", "zebrafish", ",", "a", "ball")
    caption = Caption(words, (None,) * len(words))
    pieces = pointing.pieces_of(figures.tokenizer, caption)
    tokens = figures.tokenizer(caption.text).input_ids
    assert pieces[0] == slice(0, 1) and pieces[3].stop - pieces[3].start > 1
    for word, part in zip(words, pieces[1:], strict=True):
        assert figures.tokenizer.decode(tokens[part]).strip() == word
    long = Caption(("ball",) * 70, (None,) * 70)
    assert len(pointing.pieces_of(figures.tokenizer, long)) == 1 + 62


def test_words_and_limbs_come_from_the_same_maps(figures, pictures):
    measures = evaluate.words_and_limbs(figures, pictures, 100)
    rows = pointing.pointing_hits(figures, pictures, 100)
    assert measures["pointing"] == pointing.by_word(rows)
    assert measures["pointing_noun_mean"] == pointing.mean_over_words(pointing.by_word(rows, "noun"))


@pytest.fixture
def quickly(monkeypatch, one_person):
    """`measure` with few pictures of one person and few labels."""
    monkeypatch.setattr(joint_fits, "pictures_for", lambda diffusion: one_person)
    monkeypatch.setattr(joint_fits, "ridge_table", partial(joint_fits.ridge_table, labels=FEW))


def test_measure_prints_its_tables(quickly, capsys, tmp_path):
    assert main(["measure", "figures", "--pictures", "6", "--json", str(tmp_path / "m.json")]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n{name}\n" in shown for name in ("measures", "words", "limbs", "ridge"))
    assert shown.index("left_foot") < shown.index("head") < shown.index("left_elbow") < shown.index("right_")
    assert (tmp_path / "m.json").read_text().startswith("{")


def test_measure_names_a_folder_that_is_none(capsys, tmp_path):
    assert main(["measure", str(tmp_path / "nothing")]) == 1
    assert "nothing" in capsys.readouterr().err


def test_tables_of_the_measures_that_there_are():
    shares = {"head": {"5": 0.5}, "left_foot": {"5": None}}
    bounds = {"head": {"5": (0.25, 0.75)}, "left_foot": {"5": None}}
    measures = {"timestep": 100, "ridge": shares, "ridge_intervals": bounds, "ridge_mean": {"5": 0.5}}
    measures |= {"wrong_side": {"left_foot": {"5": None}}, "taught": shares, "taught_intervals": bounds}
    found = tables(measures)
    assert list(found) == ["measures", "words", "ridge", "taught"]
    assert found["ridge"].loc["head", "5"] == found["taught"].loc["head", "5"] == "0.50 [0.25, 0.75]"
    assert found["ridge"].loc["left_foot", "5"] == "" and found["ridge"].loc["mean", "5"] == "0.50"


def test_what_five_labels_teach(figures, tmp_path):
    world = tmp_path / "world"
    export(world, sequences=8, frames=2)
    settings = config.profile("smoke")
    settings = settings.replace(appended=settings.appended.replace(mode="readout"))
    measures = taught(figures, world, ["head"], [100], runs=2, tested=2, settings=settings)
    names = ["the paper's losses, t = 100", "cross-entropy, t = 100", "mean position"]
    assert list(measures["taught"]) == [*names, "ridge, 2 labels, t = 100"]
    assert all(0 <= shares["head"] <= 1 for shares in measures["taught"].values())
    with pytest.raises(ValueError, match="tested is 1, expected at least 2"):
        taught(figures, world, ["head"], [100], tested=1)
