"""The notebooks from end to end, with a model of Stable Diffusion 1.5's layout and a folder of 3DPW's layout.

Each is run as `make reproduce` runs it. These are the two paths that a user with real weights and real data
changes, and nothing else.
"""

import csv
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kp_helpers import embeddings
from kp_helpers.reproduce import ReproduceError, run_notebook
from kp_helpers.results.page import index

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
EXPECTED = {
    "00_figures_world": ("reconstruction by the autoencoder, PSNR", {"world", "samples", "words"}),
    "01_attention_extraction": ("maps by hand and by the package", {"words", "layers", "heads", "levels"}),
    "02_stable_keypoints": ("24 joints by the linear map, learned tokens", {"losses", "keypoints", "maps"}),
    "03_appended_embedding": ("left_foot, appended, coupled mode", {"labels", "target", "maps", "points"}),
    "08_evaluate_3dpw": (
        "left_elbow, appended, coupled mode",
        {"runs", "runs_within", "directions", "points"},
    ),
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory, tiny_sd_folder, tiny_threedpw) -> Path:
    """The results folder after all notebooks; two of them at a time, 03 and 08 behind 02, as they need it."""
    from kp_helpers.figures.export import export

    root = tmp_path_factory.mktemp("results")
    export(root / "world", sequences=5, frames=2)
    foreign = {"model": tiny_sd_folder, "data": tiny_threedpw}
    on_base = {**foreign, "base": root / "02_stable_keypoints" / "smoke" / "embedding.safetensors"}
    first = {"02_stable_keypoints": foreign, "03_appended_embedding": on_base, "08_evaluate_3dpw": on_base}
    second = {"00_figures_world": foreign, "01_attention_extraction": foreign}
    own = {"00_figures_world": {"data": root / "world", "pictures": 2, "samples": 2}}
    jobs = [(root, first), (root, second), (root / "own", own)]
    with ThreadPoolExecutor(2) as pool:
        errors = list(pool.map(reproduce, *zip(*jobs, strict=True)))
    (root / "failed.txt").write_text("".join(errors))
    return root


def reproduce(root: Path, notebooks: dict[str, dict]) -> str:
    """Run notebooks one after the other in profile smoke; returns what went wrong, empty if nothing did."""
    errors = ""
    for name, parameters in notebooks.items():
        command = [sys.executable, "-m", "kp_helpers.reproduce", NOTEBOOKS / f"{name}.ipynb"]
        command += [root / name / "smoke", "--timeout", "240", "-p", "profile", "smoke"]
        for parameter, value in parameters.items():
            command += ["-p", parameter, value]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        errors += done.stderr if done.returncode else ""
    return errors


def test_all_of_them_ran(results):
    assert not (results / "failed.txt").read_text()


@pytest.mark.parametrize("name", EXPECTED)
def test_a_notebook_saves_its_result(name, results):
    wanted, pictures = EXPECTED[name]
    out = results / name / "smoke"
    metrics = json.loads((out / "metrics.json").read_text())
    assert any(row["name"].startswith(wanted) for row in metrics)
    assert pictures <= {path.stem for path in (out / "figures").glob("*.png")}
    config = json.loads((out / "config.json").read_text())
    assert config["data"]["kind"] == "3DPW" and config["settings"]


def test_the_base_embedding_can_be_read_again(results, tiny_sd):
    base = results / "02_stable_keypoints" / "smoke" / "embedding.safetensors"
    tensors, about = embeddings.load(base, fingerprint=tiny_sd.fingerprint, width=tiny_sd.context_width)
    assert tensors["base"].shape == (30, tiny_sd.context_width) and len(tensors["selected_tokens"]) == 10
    assert about["timestep"] == 0 and len(about["layers"]) == 4


def test_predictions_name_picture_method_and_run(results):
    path = results / "08_evaluate_3dpw" / "smoke" / "predictions.csv"
    rows = list(csv.DictReader(path.open()))
    assert len(rows) == 3 * 3 * 2 * 2, "joints, methods, runs, images"
    assert {row["method"] for row in rows} == {"appended, coupled mode", "base token", "mean position"}
    assert all(row["image"].startswith("test_") and row["error"] for row in rows)


def test_the_papers_numbers_are_marked_as_theirs(results):
    path = results / "08_evaluate_3dpw" / "smoke" / "metrics.json"
    metrics = json.loads(path.read_text())
    quoted = [row for row in metrics if row["paper"] is not None]
    assert len(quoted) == 5 and all(row["source"].startswith("paper's, on 3DPW") for row in quoted)


def test_the_model_and_world_of_the_kit_itself(results):
    out = results / "own" / "00_figures_world" / "smoke"
    names = {row["name"] for row in json.loads((out / "metrics.json").read_text())}
    assert "maximum of a word's map inside its thing, trained" in names
    assert json.loads((out / "config.json").read_text())["data"]["kind"] == "figures"


def test_the_runs_can_be_shown(results):
    assert not index(results)


def test_a_wrong_setting_stops_at_the_settings(tmp_path, tiny_threedpw):
    with pytest.raises(ReproduceError, match="ConfigError: profile is 'quik', expected one of smoke"):
        run_notebook(
            NOTEBOOKS / "03_appended_embedding.ipynb",
            tmp_path / "03_appended_embedding" / "a",
            {"profile": "quik", "data": str(tiny_threedpw)},
        )


def test_papermill_by_hand_from_another_directory(results, tiny_sd_folder, tiny_threedpw, tmp_path):
    """The README's papermill line: parameters with -p, the output where one stands."""
    given = {"model": tiny_sd_folder, "data": tiny_threedpw, "profile": "smoke", "results": tmp_path / "mine"}
    given["base"] = results / "02_stable_keypoints" / "smoke" / "embedding.safetensors"
    command = [sys.executable, "-m", "papermill", NOTEBOOKS / "03_appended_embedding.ipynb", "out.ipynb"]
    command += ["-k", "python3", "-p", "seed", "1"]
    for parameter, value in given.items():
        command += ["-p", parameter, value]
    done = subprocess.run([str(part) for part in command], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    config = json.loads(
        (tmp_path / "mine" / "03_appended_embedding" / "notebook" / "config.json").read_text()
    )
    assert config["seed"] == 1 and (tmp_path / "out.ipynb").is_file()
