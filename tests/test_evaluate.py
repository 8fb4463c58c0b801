"""The protocol: who is drawn, where predictions end up, and how they are scored and tabulated."""

import numpy as np
import pandas as pd
import pytest
import torch

from kp_helpers import config, evaluate
from kp_helpers.data import DataError, KeypointSample
from kp_helpers.embeddings import METADATA, EmbeddingError, save
from kp_helpers.evaluate import Found
from kp_helpers.geometry import frame_square
from kp_helpers.results import Prediction

SETTINGS = config.profile("smoke")
JOINTS = ("left_foot", "head")
OURS = "appended, coupled mode"


def made_up(number: int = 0, **joints) -> KeypointSample:
    """A person of 480 x 270 whose left leg leads straight up; 1/48 of the long side is 10 pixels."""
    places = {
        "left_foot": (100.0, 200.0),
        "left_knee": (100.0, 150.0),
        "right_foot": (160.0, 200.0),
        **joints,
    }
    return KeypointSample(
        name=f"s{number}/0/0",
        image_path=None,
        frame_size=(480, 270),
        joints={"left_foot": places["left_foot"]},
        visible={"left_foot": bool(np.isfinite(places["left_foot"]).all())},
        box=(50.0, 50.0, 200.0, 220.0),
        skeleton=places,
        sequence=f"s{number}",
    )


def found_at(x: float, y: float, number: int = 0, run: int = 0, method: str = OURS) -> Found:
    return Found(made_up(number), "left_foot", (x, y), method, run)


@pytest.fixture(scope="module")
def sets(tiny_threedpw):
    return [evaluate.data_set(tiny_threedpw, split, JOINTS) for split in ("train", "test")]


def test_points_return_to_the_frame(sets):
    framed = evaluate.framed(list(sets[0])[:3], 32, SETTINGS.protocol)
    assert framed.images.shape == (3, 3, 32, 32)
    back = framed.in_frames(framed.points("head"))
    assert np.allclose(back, [sample.joints["head"] for sample in framed.samples], atol=1e-4)


def test_the_persons_square_is_shifted_by_seed_and_name(sets):
    samples, protocol = list(sets[0])[:3], SETTINGS.protocol
    squares = evaluate.framed(samples, 32, protocol).squares
    assert evaluate.framed(samples[::-1], 32, protocol).squares == squares[::-1], "no matter in which order"
    assert evaluate.framed(samples, 32, protocol.replace(seed=1)).squares != squares
    for sample, square in zip(samples, squares, strict=True):
        plain = frame_square(sample.frame_size, "person", sample.box, protocol.margin)
        room = plain.width * protocol.margin / (1 + 2 * protocol.margin)
        assert 0 < abs(square.x - plain.x) <= room and 0 < abs(square.y - plain.y) <= room
        still = evaluate.framed([sample], 32, protocol.replace(jitter=0.0)).squares[0]
        assert still == plain and square.width == plain.width


def test_a_run_draws_distinct_sequences_by_seed(sets):
    protocol = SETTINGS.protocol
    draws = [evaluate.draw_run(*sets, "head", run, protocol) for run in range(6)]
    for train, test in draws:
        assert len({sample.sequence for sample in train + test}) == 4
    again = evaluate.draw_run(*sets, "head", 1, protocol)
    assert [[s.name for s in part] for part in again] == [[s.name for s in part] for part in draws[1]]
    assert len({tuple(sample.name for sample in train) for train, _ in draws}) > 1


def test_smaller_draws_begin_larger_ones(sets):
    """Beyond the sequences further frames follow, or before where more of a sequence are asked for."""

    def labelled(count: int, **changes) -> list:
        protocol = config.Protocol(train_images=count, test_images=2, **changes)
        return evaluate.draw_run(*sets, "head", 2, protocol)[0]

    names = {count: [sample.name for sample in labelled(count)] for count in (1, 2, 3, 5)}
    assert all(names[5][:count] == names[count] for count in (1, 2, 3)) and len(set(names[5])) == 5
    assert len({sample.sequence for sample in labelled(3)}) == 3
    few = [sample.sequence for sample in labelled(4, frames_per_sequence=2)]
    assert sorted(map(few.count, set(few))) == [2, 2]
    with pytest.raises(DataError, match="9 training frames show head in . sequences, expected at least 10"):
        labelled(10)


def test_training_and_test_stay_apart_in_one_set(sets):
    train, test = evaluate.draw_run(
        sets[0], sets[0], "head", 0, config.Protocol(train_images=1, test_images=2)
    )
    assert not {sample.sequence for sample in train} & {sample.sequence for sample in test}


def test_unlabelled_samples_are_all_different(sets):
    some = evaluate.unlabelled(sets[0], 4, seed=1)
    assert len({sample.name for sample in some}) == 4
    assert len(evaluate.unlabelled(sets[0], 999, seed=1)) == len(sets[0])


def test_missing_inputs_name_the_command_that_makes_them(tmp_path, tiny_sd):
    with pytest.raises(DataError, match="nowhere: no such folder; `python -m kp_helpers.figures export"):
        evaluate.data_set(tmp_path / "nowhere", "train", JOINTS)
    with pytest.raises(FileNotFoundError, match="no base embedding yet; `papermill .* -p run quick`"):
        evaluate.load_base(tmp_path / "quick" / "embedding.safetensors", tiny_sd)


def test_a_base_of_another_model_is_refused(tmp_path, tiny_sd):
    path, about = tmp_path / "embedding.safetensors", dict.fromkeys(METADATA, "x")
    tensors = {"base": torch.ones(4, tiny_sd.context_width), "selected_tokens": torch.tensor([1, 2])}
    save(path, tensors, about)
    with pytest.raises(EmbeddingError, match="expected the model with hash"):
        evaluate.load_base(path, tiny_sd)
    save(path, tensors, {**about, "model_hash": tiny_sd.fingerprint})
    assert evaluate.load_base(path, tiny_sd).shape == (4, tiny_sd.context_width)


def test_methods_are_compared_in_frame_pixels(sets, tiny_sd):
    train, test = (
        evaluate.framed(samples, tiny_sd.image_size, SETTINGS.protocol)
        for samples in evaluate.draw_run(*sets, "head", 0, SETTINGS.protocol)
    )
    base = torch.randn(5, tiny_sd.context_width, generator=torch.Generator().manual_seed(0))

    def once() -> list[Found]:
        learned = evaluate.learn(tiny_sd, base, train, "head", SETTINGS.appended, 1)
        return evaluate.compare(tiny_sd, learned, train, test, "head", SETTINGS, 1)

    found = once()
    assert [f.method for f in found[::2]] == [OURS, *evaluate.CONTROLS[1:]]
    assert [f.point for f in found] == [f.point for f in once()], "the same seed must give the same points"
    mean = train.points("head").mean(dim=0).expand(2, 2)
    assert [f.point for f in found if f.method == evaluate.MEAN] == test.in_frames(mean)
    for points in evaluate.in_squares(found, test).values():
        assert points.shape == (2, 2) and ((points > 0) & (points < 1)).all()
    for one in found:
        Prediction(**one.prediction())


@pytest.mark.parametrize(
    ("point", "within", "in_direction", "mirror"),
    [
        ((100.0, 209.0), 1, 1, 0),  # in the disc, away from the knee
        ((100.0, 211.0), 0, 0, 0),  # out of it
        ((100.0, 130.0), 0, 1, 0),  # 70 pixels up the leg: the reach is 75
        ((100.0, 120.0), 0, 0, 0),
        ((140.0, 165.0), 0, 0, 0),  # 49 degrees off the leg
        ((155.0, 200.0), 0, 0, 1),  # the other foot
    ],
)
def test_a_prediction_is_scored_by_hand(point, within, in_direction, mirror):
    row = evaluate.score([found_at(*point)]).iloc[0]
    assert (row["within"], row["in_direction"], row["mirror"]) == (within, in_direction, mirror)
    distance = np.hypot(point[0] - 100, point[1] - 200)
    assert (row["error"], row["box_error"]) == pytest.approx((distance / 480, distance / 170))


def test_a_wider_sector_counts_more():
    assert evaluate.score([found_at(140.0, 165.0)], half_angle=60).iloc[0]["in_direction"] == 1


def test_invisible_joints_are_not_scored():
    hidden = Found(made_up(left_foot=(np.nan, np.nan)), "left_foot", (1.0, 1.0), "m")
    assert len(evaluate.score([hidden, found_at(1.0, 1.0)])) == 1
    assert hidden.prediction()["true"] is None


def scores() -> pd.DataFrame:
    """Run 0 hits both of its images, run 1 none; the other method never hits."""
    hit, miss = (100.0, 200.0), (160.0, 200.0)
    ours = [found_at(*(miss if run else hit), number, run) for run in range(2) for number in range(2)]
    return evaluate.score(ours + [found_at(*miss, f.sample.name[1], f.run, "base token") for f in ours])


def test_the_summary_is_the_mean_over_runs_with_its_spread():
    measured = {(m.method, m.measure): m for m in evaluate.summarise(scores(), train_images=5)}
    ours = measured[OURS, "within 1/48 of the frame"]
    assert (ours.value, ours.n, ours.threshold) == (50.0, 4, "1/48")
    assert ours.sd == pytest.approx(np.std([0, 100], ddof=1))
    assert 0 == ours.interval[0] < 50 < ours.interval[1] == 100
    assert (ours.paper, ours.paper_sd, ours.source) == (17.5, 15.86, "paper's, on 3DPW, 5 training images")
    other = measured["base token", "within 1/48 of the frame"]
    assert (other.value, other.sd, other.paper) == (0.0, 0.0, None)
    assert other.interval[1] > 50, "two sequences cannot say that the share is zero"
    mirrored = measured["base token", "misses that hit the other side"]
    assert (mirrored.value, mirrored.n) == (100.0, 4)
    assert ours.row()["name"] == f"left_foot, {OURS}: within 1/48 of the frame"


def test_the_paper_is_quoted_with_its_nearest_number_of_images():
    rows = scores().assign(joint="head")
    measured = evaluate.summarise(rows, train_images=5)
    assert measured[0].source == "paper's, on 3DPW, 20 training images" and measured[0].paper == 9.0
    assert evaluate.summarise(rows.assign(joint="neck", in_direction=np.nan), 5)[0].paper is None


def test_the_table_has_a_row_a_measure_and_a_column_a_method():
    table = evaluate.table(evaluate.summarise(scores(), train_images=5))
    assert list(table.columns) == [OURS, "base token", "paper's, on 3DPW"]
    cell = table.loc[("left_foot", "within 1/48 of the frame")]
    assert cell[OURS] == "50.0 ± 70.7 [0, 100], n 4"
    assert cell["paper's, on 3DPW"] == "17.5 ± 15.9, 5 images"
    beside = evaluate.beside_paper(evaluate.summarise(scores(), train_images=5))
    assert beside["difference"].tolist() == [50 - 17.5, 50 - 26.25]
