"""Drawing frames: distinct sequences, reproducible, training and test apart."""

import pytest
from helpers.threedpw_folder import write_threedpw

from kp_helpers.data import DataError, ThreeDPW, draw


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    root = write_threedpw(tmp_path_factory.mktemp("3dpw"), sequences=6, people=2)
    return ThreeDPW(root, "test", joints=("left_foot",))


def sequences(samples, indices) -> list[str]:
    return [samples[index].sequence for index in indices]


def test_one_frame_a_sequence_and_the_same_for_the_same_seed(samples):
    drawn = draw(samples, 4, seed=1)
    assert len(set(sequences(samples, drawn))) == 4
    assert drawn == draw(samples, 4, seed=1)
    assert len({tuple(draw(samples, 4, seed=seed)) for seed in range(20)}) > 10


def test_the_frames_drawn_show_the_joint(samples):
    for seed in range(10):
        assert all(
            samples[index].visible["left_foot"] for index in draw(samples, 3, seed, visible=["left_foot"])
        )


def test_too_few_sequences_are_an_error(samples):
    with pytest.raises(DataError, match="6 sequences, expected at least 7 to draw from"):
        draw(samples, 7, 0)
    used = samples[0].sequence
    with pytest.raises(DataError, match="5 sequences, expected at least 6"):
        draw(samples, 6, 0, without=[used])
