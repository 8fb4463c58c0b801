"""The figures world as exported, read by 3DPW's loader: the joints are those that the renderer knows."""

import json

import numpy as np

from kp_helpers.data import ThreeDPW
from kp_helpers.data.threedpw import JOINTS
from kp_helpers.figures.export import export


def test_the_loader_gives_back_what_the_renderer_knows(tmp_path):
    export(tmp_path, sequences=5, frames=2)
    samples = [
        sample for split in ("train", "validation", "test") for sample in ThreeDPW(tmp_path, split, JOINTS)
    ]
    assert len({sample.sequence for sample in samples}) == 5
    for sample in samples:
        truth = json.loads((tmp_path / "truth" / f"{sample.sequence}.json").read_text())[sample.frame]
        difference = np.subtract(list(sample.joints.values()), truth["joints"][sample.person])
        assert np.nanmax(np.abs(difference)) < 0.01
        assert sample.masks.is_file() and sample.image().shape[:0:-1] == sample.frame_size
