"""Sweeps without Snakemake: the file and its errors, a job, the shared views, the summary."""

import csv
import json
import shutil
from dataclasses import replace

import pytest
import yaml
from helpers import tiny_sweep
from helpers.results_folder import predictions

from kp_helpers import config, evaluate
from kp_helpers.notebook.sweeps import plan
from kp_helpers.notebook.sweeps.__main__ import main
from kp_helpers.notebook.sweeps.job import run_job
from kp_helpers.notebook.sweeps.plan import STATES, table
from kp_helpers.store import HeldError, held

GOOD = {"joints": ["left_foot", "head"], "seeds": [0, 3], "settings": {"a": {}, "b": {}}}


@pytest.fixture(scope="module")
def file(tmp_path_factory, tiny_sd, tiny_threedpw):
    return tiny_sweep.make(tmp_path_factory.mktemp("sweep"), tiny_sd, tiny_threedpw, seeds=[1])


@pytest.fixture(scope="module")
def done(file):
    """Results of all jobs."""
    tiny_sweep.undisturbed(file, file.parent / "results")
    return file.parent / "results"


def written(tmp_path, content) -> str:
    (tmp_path / "sweeps.yaml").write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return tmp_path / "sweeps.yaml"


def test_every_combination_is_a_job(tmp_path):
    jobs = plan.read(written(tmp_path, {"one": GOOD}))
    assert [job.name for job in jobs] == [
        f"{j}-{s}-{a}" for j in ("left_foot", "head") for s in (0, 3) for a in ("a", "b")
    ]
    assert jobs[0].folder.as_posix() == "sweeps/one/left_foot-0-a"
    assert jobs[2].settings == config.profile("quick", seed=3)


def test_own_changes_go_over_common_ones_and_keep_the_rest(tmp_path):
    common = {"appended": {"steps": 7, "reading": {"map_size": 32}}, "protocol": {"runs": 3}}
    own = {"wide": {"appended": {"sigma": 0.1, "reading": {"timestep": 5}}}}
    (job,) = plan.read(written(tmp_path, {"one": {"joints": ["head"], "common": common, "settings": own}}))
    usual = config.profile("quick")
    reading = usual.appended.reading.replace(map_size=32, timestep=5)
    assert job.settings.appended == usual.appended.replace(steps=7, sigma=0.1, reading=reading)
    assert job.settings.protocol.runs == 3 and job.settings.test == usual.test


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "expected sweeps by name, found None"),
        ("a: {}\na: {}", "key 'a' comes twice"),
        ({"one": GOOD | {"seed": [0]}}, "sweep 'one': Sweep has no setting 'seed'; the nearest is 'seeds'"),
        ({"one": GOOD | {"joints": ["left_foo"]}}, "joint 'left_foo' is unknown; the nearest is 'left_foot'"),
        ({"one": GOOD | {"joints": []}}, "Sweep.joints is .*: expected at least one"),
        ({"one": GOOD | {"seeds": [0, 0]}}, "Sweep.seeds is .*: expected at least one, and each once"),
        ({"one": GOOD | {"seeds": ["a"]}}, "Sweep.seeds.0 is 'a'"),
        ({"one": None}, "sweep 'one': found None, expected its settings"),
        ({"../one": GOOD}, "its name is '../one', expected letters"),
        ({"one": GOOD | {"profile": "quik"}}, "setting 'a': profile is 'quik', expected one of smoke, quick"),
        ({"one": GOOD | {"settings": {"a.b": {}}}}, "setting 'a.b': its name is 'a.b', expected letters"),
        (
            {"one": GOOD | {"common": {"appended": {"sigmo": 1.0}}}},
            "AppendedStage has no setting 'sigmo'; the nearest is 'sigma'",
        ),
        (
            {"one": GOOD | {"settings": {"a": {"appended": {"reading": {"map_siz": 32}}}}}},
            "Reading has no setting 'map_siz'; the nearest is 'map_size'",
        ),
        (
            {"one": GOOD | {"settings": {"a": {"appended": {"steps": "ten"}}}}},
            "setting 'a': AppendedStage.steps is 'ten'",
        ),
    ],
)
def test_a_wrong_file_is_one_sentence(content, sentence, tmp_path, capsys):
    path = written(tmp_path, content)
    with pytest.raises(config.ConfigError, match=f"sweeps.yaml.*{sentence}") as caught:
        plan.read(path)
    assert "\n" not in str(caught.value)
    assert main(["--file", str(path), "summary"]) == 2
    assert capsys.readouterr().err == f"{caught.value}\n"


def test_a_missing_file_and_an_unknown_sweep_are_named(tmp_path, capsys):
    with pytest.raises(config.ConfigError, match="No such file or directory.*sweeps.yaml"):
        plan.read(tmp_path / "sweeps.yaml")
    path = written(tmp_path, {"targets": GOOD})
    assert main(["--file", str(path), "summary", "target"]) == 2
    assert "sweep 'target' is unknown; the nearest is 'targets'" in capsys.readouterr().err
    with pytest.raises(config.ConfigError, match="sweep 'targets' has no job 'head-1-a'"):
        plan.find(plan.read(path), "targets", "head-1-a")


def test_the_projects_own_file_is_right():
    jobs = plan.read(tiny_sweep.ROOT / "sweeps.yaml")
    assert {job.about.base_file for job in jobs} == {
        "results/02_stable_keypoints/quick/embedding.safetensors"
    }


def test_a_job_is_the_sweep_of_its_settings(done, file, tiny_sd, tiny_threedpw):
    job = plan.find(plan.read(file), "tiny", "head-1-coupled")
    sets = tuple(evaluate.data_set(tiny_threedpw, split, ["head"]) for split in ("train", "test"))
    base = evaluate.load_base(file.parent / "base.safetensors", tiny_sd)
    expected = []
    for run in range(2):
        variants = [evaluate.Variant("coupled")]
        expected += evaluate.sweep(tiny_sd, base, sets, "head", job.settings, variants, run)
    found = predictions(done / job.folder)
    assert [(row["image"], row["method"]) for row in found] == [
        (one.sample.name, one.method) for one in expected
    ]
    for row, one in zip(found, expected, strict=True):
        assert (float(row["x"]), float(row["y"])) == pytest.approx(one.point, abs=0.01)
    about = json.loads((done / job.folder / "config.json").read_text())
    assert (about["seed"], about["settings"]["joint"], about["settings"]["setting"]) == (1, "head", "coupled")


def test_views_are_shared_by_settings_and_change_nothing(done, file, tmp_path):
    readout = plan.find(plan.read(file), "tiny", "head-1-readout")
    cache = tmp_path / "cache"
    run_job(readout, tmp_path / "first", cache)
    files = {path: path.stat().st_mtime_ns for path in cache.glob("*.safetensors")}
    assert 2 < len(files) <= 2 * 3, "runs x steps, of a picture each; some see one again"
    wide = readout.settings.appended.replace(sigma=0.1)
    other = replace(readout, setting="wide", settings=readout.settings.replace(appended=wide))
    run_job(other, tmp_path / "first", cache)
    run_job(readout, tmp_path, cache)
    assert {path: path.stat().st_mtime_ns for path in cache.glob("*.safetensors")} == files
    assert tiny_sweep.contents(tmp_path)[readout.name] == tiny_sweep.contents(done)[readout.name]


def test_the_summary_tells_done_failed_outdated_and_missing(done, file, tmp_path, capsys):
    results, jobs = tmp_path / "results", plan.read(file)
    shutil.copytree(done, results)
    gone, other, broken, failed = (results / job.folder for job in jobs)
    shutil.rmtree(gone)
    about = json.loads((other / "config.json").read_text())
    about["settings"]["appended"]["steps"] = 99
    (other / "config.json").write_text(json.dumps(about))
    (broken / "metrics.json").write_text("[")
    shutil.rmtree(failed)
    failed.with_name(f"{failed.name}.failed.txt").write_text("DataError: no picture\n")
    assert main(["--file", str(file), "--results", str(results), "summary"]) == 1
    told = capsys.readouterr().out
    assert "tiny: 4 jobs, 0 done, 2 failed, 1 outdated, 1 missing\n" in told
    assert f"missing  {gone.name}\n" in told and f"outdated {other.name}\n" in told
    assert f"failed   {failed.name}  DataError: no picture" in told and f"failed   {broken.name}  " in told
    with (results / "sweeps" / "tiny" / "summary.csv").open() as text:
        rows = list(csv.DictReader(text))
    assert {row["state"] for row in rows} == set(STATES) - {"done"}
    assert main(["--file", str(file), "--results", str(done), "summary", "tiny"]) == 0
    assert capsys.readouterr().out == "tiny: 4 jobs, 4 done, 0 failed, 0 outdated, 0 missing\n"
    with (done / "sweeps" / "tiny" / "summary.csv").open() as text:
        rows = list(csv.DictReader(text))
    hits = [row for row in rows if row["setting"] == "readout" and "meaningful" in row["name"]]
    assert len(hits) == 2 * 2 and all(row["n"] == "4" for row in hits), "joints x method and control"


def test_a_job_that_fails_says_why_until_it_succeeds(file, tmp_path, capsys, monkeypatch):
    command = ["--file", str(file), "--results", str(tmp_path), "job", "tiny", "head-1-coupled"]
    with monkeypatch.context() as changed:
        changed.setattr(
            evaluate, "base_tensors", lambda *_: (_ for _ in ()).throw(FileNotFoundError("no base"))
        )
        assert main(command) == 1
    assert "head-1-coupled: FileNotFoundError: no base" in capsys.readouterr().err
    job = plan.find(plan.read(file), "tiny", "head-1-coupled")
    (row,) = table([job], tmp_path).itertuples()
    assert (row.state, row.reason) == ("failed", "FileNotFoundError: no base")
    assert main(command) == 0 and set(table([job], tmp_path)["state"]) == {"done"}
    assert [path.name for path in (tmp_path / "sweeps" / "tiny").iterdir()] == [job.name]


def test_a_job_goes_on_from_what_it_learned_and_leaves_no_checkpoint(done, file, tmp_path, monkeypatch):
    job = plan.find(plan.read(file), "tiny", "head-1-coupled")
    with monkeypatch.context() as changed, pytest.raises(ZeroDivisionError):
        changed.setattr(evaluate, "score", lambda found: 1 / 0)
        run_job(job, tmp_path, checkpoint=tmp_path / "kept")
    files = list((tmp_path / "kept" / job.folder).glob("*/*"))
    assert [path.name for path in files] == ["state.safetensors"] * 2, "of each run the last"
    again = lambda *given: pytest.fail("a step was done again")  # noqa: E731
    monkeypatch.setattr("kp_helpers.stages.appended.AppendedTokens.losses", again)
    run_job(job, tmp_path, checkpoint=tmp_path / "kept")
    assert tiny_sweep.contents(tmp_path)[job.name] == tiny_sweep.contents(done)[job.name]
    assert not (tmp_path / "kept" / job.folder).exists()


def test_a_job_is_done_once_at_a_time_and_clears_what_a_killed_one_left(file, tmp_path):
    job = plan.find(plan.read(file), "tiny", "head-1-coupled")
    own = tmp_path / "sweeps" / "tiny"
    left, others = own / f".{job.name}.abcdefgh", own / f".{job.name}2.abcdefgh"
    for folder in (left, others):
        folder.mkdir(parents=True)
    with held(own / f".{job.name}.lock"), pytest.raises(HeldError, match="held by process"):
        run_job(job, tmp_path)
    assert left.is_dir()
    run_job(job, tmp_path)
    assert {path.name for path in own.iterdir()} == {job.name, others.name}
