"""How a notebook begins and saves."""

import json

import pandas as pd
import pytest
import torch
from helpers.results_folder import predictions

from kp_helpers import config, embeddings, evaluate, stages
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
    assert predictions(place)[0]["image"] == sample.name and not session.states.exists()
    assert torch.equal(embeddings.load(place / "embedding.safetensors")[0]["base"], base)


def test_runs_take_several_bases_in_turn(given, tmp_path, tiny_sd):
    about, files = stages.metadata(tiny_sd, config.BaseStage()), []
    for number in range(2):
        tensors = {"base": torch.full((4, tiny_sd.context_width), number + 1.0)}
        tensors["selected_tokens"] = torch.tensor([number + 2, 0])
        files.append(str(embeddings.save(tmp_path / f"{number}.safetensors", tensors, about)))
    session = begin("08_x", run="notebook", **given, base=", ".join(files))
    assert [float(session.base_of(run)[0, 0]) for run in range(3)] == [1, 2, 1]
    assert [session.keypoint_of(run) for run in range(3)] == [2, 3, 2]
    assert torch.equal(session.base, session.base_of(0)) and "2 bases of 4 tokens" in str(session)
    bare = embeddings.save(tmp_path / "b.safetensors", {"base": tensors["base"]}, about)
    session = begin("08_x", run="notebook", **given, base=str(bare))
    with pytest.raises(ValueError, match="b.safetensors: has no selected_tokens, expected a base that"):
        session.keypoint_of(0)


def test_verdicts_are_saved_with_the_list_of_their_claim(given, tmp_path):
    session = begin("04_ablation_target", run="notebook", **given)
    row = evaluate.decided("cauchy", evaluate.HOLDS, pd.DataFrame({"run": [0, 1]}))
    place = session.finish({}, [], verdicts=row)
    assert pd.read_csv(place / "verdicts.csv")[["id", "list", "n"]].to_numpy().tolist() == [
        ["cauchy", "paper", 2]
    ]
    with pytest.raises(ValueError, match="04_ablation_target decides 'found', expected the id"):
        session.finish({}, [], verdicts=row.assign(id="found"))


def test_parameters_that_are_zero_or_empty_change_nothing():
    settings = config.profile("quick")
    unchanged = config.Change.of_parameters(appended={"steps": 0, "mode": ""}, reading={"map_size": 0})
    assert unchanged.applied(settings) == settings
    changed = config.Change.of_parameters(appended={"steps": 7}, reading={"map_size": 16}).applied(settings)
    assert changed.appended.steps == 7
    assert changed.appended.reading.map_size == changed.test.reading.map_size == 16
    assert changed.base == settings.base
