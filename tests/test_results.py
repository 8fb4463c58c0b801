"""Run folders appear whole or not at all, and the page shows them without running what is in their names."""

import csv
import json
from pathlib import Path

import matplotlib.figure
import pandas
import pytest

from kp_helpers.results import Metric, Prediction, ResultsError, RunFolder, describe_data, run_facts
from kp_helpers.results.__main__ import main

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
        "predictions.csv",
        "measures.csv",
        "figures/error_by_joint.png",
        "embedding.safetensors",
    }
    assert json.loads((path / "metrics.json").read_text())[0]["interval"] == [9.0, 26.0]
    first, second = csv.DictReader((path / "predictions.csv").open())
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


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    with RunFolder(tmp_path, "08_evaluate_3dpw", "quick") as folder:
        with pytest.raises(ResultsError, match="metrics.json: .*expected plain finite values"):
            folder.metrics([Metric(name="error", value=float("nan"), n=0)])
        assert not list(folder.partial.iterdir())
    with pytest.raises(ResultsError, match="closed: config.json came too late"):
        folder.config({})


def test_the_index_gathers_runs_and_labels_them(tmp_path, capsys):
    save(tmp_path)
    (save(tmp_path, "real", "3DPW") / "notebook.html").write_text("<p>")
    assert main(["index", str(tmp_path)]) == 0
    rows = list(csv.DictReader((tmp_path / "summary.csv").open()))
    assert [(row["run"], row["data"], row["n"]) for row in rows] == [
        ("quick", "figures", "80"),
        ("quick", "figures", "0"),
        ("real", "3DPW", "80"),
        ("real", "3DPW", "0"),
    ]
    assert (rows[0]["interval_low"], rows[0]["value"], rows[1]["value"]) == ("9.0", "17.5", "")
    page = (tmp_path / "index.html").read_text()
    assert page.count("measured on the synthetic figures world") == page.count("measured on 3DPW") == 1
    assert "<script" not in page and "&lt;script&gt;alert(1)" in page
    assert 'src="08_evaluate_3dpw/quick/figures/error_by_joint.png"' in page
    assert page.count("notebook.html") == 1 and "17.5 % (SD" not in page.replace("17.5 % (SD 15.86)", "")
    assert "http" not in page and 'name="viewport"' in page
    before = contents(tmp_path)
    main(["index", str(tmp_path)])
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '[{"name": "x"}]', '[{"name": "x", "value": "<b>", "n": 1}]', "[[]]"]
)
def test_a_damaged_run_is_named_and_the_others_shown(text, tmp_path, capsys):
    save(tmp_path)
    (save(tmp_path, "bad") / "metrics.json").write_text(text)
    assert main(["index", str(tmp_path)]) == 1
    assert "08_evaluate_3dpw/bad: metrics.json or config.json cannot be read" in capsys.readouterr().out
    page = (tmp_path / "index.html").read_text()
    assert 'id="08_evaluate_3dpw/quick"' in page and 'class="damaged"' in page


def test_folders_made_by_hand_cannot_break_out_of_the_page(tmp_path):
    evil = save(tmp_path)
    evil.rename(evil.parent / '"><img src=x onerror=alert(1)>')
    (tmp_path / "08_evaluate_3dpw" / ".quick.partial").mkdir()
    assert main(["index", str(tmp_path)]) == 0
    page = (tmp_path / "index.html").read_text()
    assert "<img src=x" not in page and "&lt;img src=x onerror" in page


def test_an_empty_or_missing_folder(tmp_path, capsys):
    assert main(["index", str(tmp_path)]) == 0
    assert "No run yet" in (tmp_path / "index.html").read_text()
    assert main(["index", str(tmp_path / "none")]) == 2
    assert "none is no folder" in capsys.readouterr().err


def test_the_facts_of_a_run(tmp_path):
    (tmp_path / "manifest.json").write_text('{"world": "figures"}')
    facts = run_facts(seed=3, model="figures", fingerprint="ab", data=tmp_path, device="cpu")
    assert facts["data"]["kind"] == "figures" and len(facts["data"]["sha256"]) == 64
    assert facts["versions"]["torch"].startswith("2.13") and facts["determinism"].startswith("A: ")
    with pytest.raises(ResultsError, match="level is 'D', expected one of A, B, C"):
        run_facts(seed=3, model="figures", fingerprint="ab", data=tmp_path, device="cpu", level="D")


def test_data_without_a_manifest_is_hashed_by_names_and_sizes(tmp_path):
    folder = tmp_path / "sequenceFiles" / "train"
    folder.mkdir(parents=True)
    (folder / "a.pkl").write_bytes(b"1")
    first = describe_data(tmp_path)
    (folder / "a.pkl").write_bytes(b"12")
    second = describe_data(tmp_path)
    assert first["kind"] == second["kind"] == "3DPW" and first["sha256"] != second["sha256"]
    with pytest.raises(ResultsError, match="none is no folder"):
        describe_data(tmp_path / "none")
