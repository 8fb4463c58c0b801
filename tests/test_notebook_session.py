"""How a notebook begins and saves."""

import json

import pytest
import torch

from kp_helpers import config, embeddings, stages
from kp_helpers.evaluate import Found
from kp_helpers.notebook.session import begin
from kp_helpers.results import Metric, ResultsError


@pytest.fixture
def given(tiny_sd_folder, tiny_threedpw, tmp_path) -> dict:
    where = {"model": str(tiny_sd_folder), "data": str(tiny_threedpw), "joints": ["head"]}
    return {"results": str(tmp_path / "results"), "seed": 3, **where}


def test_a_run_that_exists_is_refused_before_anything_is_loaded(given, tmp_path):
    (tmp_path / "results" / "02_x" / "quick").mkdir(parents=True)
    with pytest.raises(ResultsError, match="quick exists: choose another run"):
        begin("02_x", run="quick", **{**given, "model": "no such model"})


def test_a_session_loads_what_was_asked_for_and_saves_it_whole(given, tmp_path, tiny_sd):
    base = torch.ones(4, tiny_sd.context_width)
    about = stages.metadata(tiny_sd, config.BaseStage())
    file = embeddings.save(tmp_path / "base.safetensors", {"base": base}, about)
    kept = {"base": str(file), "checkpoint": str(tmp_path / "kept")}
    session = begin("03_x", run="notebook", **given, **kept)
    assert torch.equal(session.base, base) and [len(samples) > 0 for samples in session.sets] == [True, True]
    assert session.states == tmp_path / "kept" / "03_x" / "notebook" and session.cache is None
    assert "data: 3DPW" in str(session) and "base of 4 tokens" in str(session)
    session.states.mkdir(parents=True)
    sample = session.sets[1][0]
    found = Found(sample, "head", (1.0, 2.0), "appended")
    for _ in range(2):  # a run called "notebook" is replaced
        place = session.finish(
            {"joint": "head"},
            [Metric(name="error", value=1.0, n=2)],
            [found],
            embedding=({"base": base}, about),
        )
    facts = json.loads((place / "config.json").read_text())
    assert facts["settings"] == {"joint": "head"} and facts["seed"] == 3
    assert facts["model"]["sha256"] == tiny_sd.fingerprint
    assert sample.name in (place / "predictions.csv").read_text() and not session.states.exists()
    assert torch.equal(embeddings.load(place / "embedding.safetensors")[0]["base"], base)


def test_parameters_that_are_zero_or_empty_change_nothing():
    settings = config.profile("quick")
    unchanged = config.Change.of_parameters(appended={"steps": 0, "mode": ""}, reading={"map_size": 0})
    assert unchanged.applied(settings) == settings
    changed = config.Change.of_parameters(appended={"steps": 7}, reading={"map_size": 16}).applied(settings)
    assert changed.appended.steps == 7
    assert changed.appended.reading.map_size == changed.test.reading.map_size == 16
    assert changed.base == settings.base
