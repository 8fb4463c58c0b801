"""Run folders appear whole or not at all, and say what decided their numbers."""

import json
import os
import platform
from pathlib import Path

import matplotlib.figure
import pandas
import pytest
from helpers.results_folder import predictions

from kp_helpers.results import Metric, Prediction, ResultsError, RunFolder, describe_data, run_facts
from kp_helpers.results.provenance import add_facts, command_line, describe_machine

CHECKOUT = Path(__file__).parents[1]
HITS = Metric(
    name="left_foot: within 40 px <script>alert(1)</script>",
    value=17.5,
    n=80,
    threshold="1/48",
    normaliser="long side of the frame",
    unit="%",
    sd=15.86,
    interval=(9.0, 26.0),
    paper=17.5,
    paper_sd=15.86,
    source="Schofield",
)
ROWS = [
    Prediction(
        image="a/image_00001.jpg", keypoint="head", visible=True, predicted=(4.0, 6.0), true=(1.0, 2.0)
    ),
    Prediction(image="a/image_00002.jpg", keypoint="head", visible=False, predicted=(4.0, 6.0), run=1),
]


def save(root: Path, run: str = "quick", kind: str = "figures", **options) -> Path:
    with RunFolder(root, "08_evaluate_3dpw", run, **options) as folder:
        folder.config({"sigma": 2.0}, seed=1, data={"name": "d", "kind": kind, "sha256": "0"})
        folder.metrics([HITS, Metric(name="no one seen", value=None, n=0)])
        folder.predictions(ROWS)
        folder.table("measures", pandas.DataFrame({"measure": ["mean OKS"], "value": [0.5]}, index=[7]))
        figure = matplotlib.figure.Figure(figsize=(2, 1))
        figure.subplots().plot([0, 1])
        folder.figure("error_by_joint", figure)
        folder.file("embedding.safetensors").write_bytes(b"1")
    return folder.path


def contents(folder: Path) -> dict:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_is_written_as_documented(tmp_path):
    path = save(tmp_path)
    assert path == tmp_path / "08_evaluate_3dpw" / "quick"
    names = {name.as_posix() for name in contents(path)}
    assert names == {
        "config.json",
        "metrics.json",
        "predictions.csv.gz",
        "measures.csv",
        "figures/error_by_joint.png",
        "embedding.safetensors",
    }
    assert json.loads((path / "metrics.json").read_text())[0]["interval"] == [9.0, 26.0]
    first, second = predictions(path)
    assert float(first["error"]) == 5.0 and first["true_y"] == "2.0000"  # a 3-4-5 triangle
    assert (second["visible"], second["true_x"], second["error"]) == ("0", "", "")
    assert (path / "measures.csv").read_text() == "measure,value\nmean OKS,0.5\n"
    assert {oct(file.stat().st_mode & 0o777) for file in path.glob("*.*")} == {"0o644"}
    assert oct(path.stat().st_mode & 0o777) == "0o755"


def test_an_existing_run_is_kept_unless_asked(tmp_path):
    before = contents(save(tmp_path))
    with pytest.raises(ResultsError, match="08_evaluate_3dpw/quick exists"):
        RunFolder(tmp_path, "08_evaluate_3dpw", "quick")
    with (
        pytest.raises(ZeroDivisionError),
        RunFolder(tmp_path, "08_evaluate_3dpw", "quick", overwrite=True) as folder,
    ):
        folder.metrics([])
        _ = 1 / 0
    assert contents(tmp_path / "08_evaluate_3dpw" / "quick") == before
    assert contents(save(tmp_path, overwrite=True)) == before, "equal runs are equal files, the picture too"
    assert [path.name for path in (tmp_path / "08_evaluate_3dpw").iterdir()] == ["quick"]


@pytest.mark.parametrize("name", ["", "..", "../a", "/tmp/a", "a/b", ".hidden", "a b", "a\n"])
def test_names_that_lead_elsewhere_are_refused(name, tmp_path):
    with pytest.raises(ResultsError, match="run is .*, expected letters"):
        RunFolder(tmp_path, "08_evaluate_3dpw", name)
    with RunFolder(tmp_path, "08_evaluate_3dpw", "quick") as folder:
        if name not in ("", "/tmp/a", "a/b"):
            with pytest.raises(ResultsError):
                folder.file(f"figures/{name}")
        folder.metrics([])
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "metrics.json"]


def test_a_name_that_papermill_took_for_a_number_is_a_name(tmp_path):
    assert RunFolder(tmp_path, "08_evaluate_3dpw", 20261126).path.name == "20261126"


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    folder = RunFolder(tmp_path, "08_evaluate_3dpw", "quick")
    with pytest.raises(ResultsError, match="metrics.json: .*expected plain finite values"), folder:
        folder.metrics([Metric(name="error", value=float("nan"), n=0)])
    with pytest.raises(ResultsError, match="closed: config.json came too late"):
        folder.config({})


def test_the_facts_of_a_run(tmp_path):
    (tmp_path / "manifest.json").write_text('{"world": "figures"}')
    facts = run_facts(seed=3, model="figures", fingerprint="ab", data=tmp_path, device="cpu")
    assert facts["data"]["kind"] == "figures" and len(facts["data"]["sha256"]) == 64
    assert facts["machine"] == describe_machine("cpu")
    assert facts["versions"]["torch"].startswith("2.13") and facts["determinism"].startswith("A: ")


@pytest.mark.parametrize(
    ("place", "kind"), [("sequenceFiles/train", "3DPW"), ("pictures", "the folder CelebA")]
)
def test_data_without_a_manifest_is_hashed_by_names_and_sizes(place, kind, tmp_path):
    folder = tmp_path / "CelebA"
    (folder / place).mkdir(parents=True)
    (folder / place / "a.pkl").write_bytes(b"1")
    first = describe_data(folder)
    (folder / place / "a.pkl").write_bytes(b"12")
    second = describe_data(folder)
    assert first["kind"] == second["kind"] == kind and first["sha256"] != second["sha256"]
    with pytest.raises(ResultsError, match="none is no folder"):
        describe_data(tmp_path / "none")


def test_the_machine_is_told_by_its_parts_and_not_by_its_name():
    machine = describe_machine("cpu")
    assert machine.keys() == {"cores", "processor", "gpu"} and machine["gpu"] == ""
    assert 1 <= machine["cores"] <= os.cpu_count()
    assert platform.node() not in machine["processor"].split()


def test_a_command_has_paths_of_the_checkout_and_no_others():
    given = {"model": "/home/someone/sd15", "data": str(CHECKOUT / "build" / "figures"), "caption": "a man"}
    assert command_line(CHECKOUT / "notebooks" / "08_x.ipynb", "quick", given) == (
        "python -m kp_helpers.reproduce notebooks/08_x.ipynb results/08_x/quick"
        " -p model sd15 -p data build/figures -p caption 'a man'"
    )


def test_facts_are_added_to_a_run_and_change_no_other(tmp_path):
    path = save(tmp_path)
    before = json.loads((path / "config.json").read_text())
    add_facts(path, minutes=1.5)
    assert json.loads((path / "config.json").read_text()) == {**before, "minutes": 1.5}
    (path / "config.json").unlink()
    add_facts(path, minutes=1.5)
    assert not (path / "config.json").exists(), "a run that says nothing is left so"
