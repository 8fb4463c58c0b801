"""The notebooks from end to end, with a model of Stable Diffusion 1.5's layout and a folder of 3DPW's layout.

Each is run as `make reproduce` runs it. These are the two paths that a user with real weights and real data
changes, and nothing else.
"""

import csv
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import pytest
from helpers.results_folder import predictions

from kp_helpers import embeddings
from kp_helpers.evaluate import CHANCE, CONTROLS
from kp_helpers.results.claims import CLAIMS, VERDICTS
from kp_helpers.results.pages import index

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
EXPECTED = {
    "00_figures_world": ("reconstruction by the autoencoder, PSNR", {"world", "samples", "words"}),
    "01_attention_extraction": (
        "maps by hand and by the package",
        {"words", "layers", "heads", "levels", "explorer"},
    ),
    "02_stable_keypoints": ("24 joints by the linear map, learned tokens", {"losses", "keypoints", "maps"}),
    "03_appended_embedding": ("left_foot, appended, coupled mode", {"labels", "target", "maps", "points"}),
    "04_ablation_target": (
        "left_foot, appended, coupled mode, gaussian 0.05",
        {"targets", "pull", "hits"},
    ),
    "05_ablation_embedding_size": ("left_foot, appended, coupled mode, best of 0.2 N", {"hits"}),
    "06_ablation_augmentation": (
        "left_foot, appended, coupled mode, vote of 10 views",
        {"ways", "hits", "errors"},
    ),
    "07_ablation_loss_weights_and_steps": (
        "left_foot, appended, coupled mode, weights 0:0:1",
        {"weights", "steps", "training_images", "variants", "one_step"},
    ),
    "08_evaluate_3dpw": (
        "left_elbow, appended, coupled mode",
        {"runs", "runs_within", "training_images", "directions", "points", "misses"},
    ),
    "10_beyond_the_paper": (
        "left_foot, best",
        {"ladder", "joints", "learning_curve", "wrong_side", "reliability", "embeddings", "bases"},
    ),
    "12_open_vocabulary_segmentation": ("PQ unseen", {"first", "clusters", "quality", "examples"}),
    "13_edit_by_instruction": (
        "attribute changed",
        {"first", "prompt_to_prompt", "ways", "guidance", "page"},
    ),
    "11_unsupervised_benchmarks": (
        "human3.6m, learned: orientation_invariant",
        {"points", "transfer", "head", "sets"},
    ),
    "14_your_own_pictures": ("right_foot, appended: mean error", {"labels", "found", "maps"}),
    "09_failed_approaches": (
        "left_foot, appended, coupled mode, a, as published",
        {"crops", "hits", "points", "hills", "pull"},
    ),
}
ABLATIONS = (("04", "07", "10"), ("05", "06", "09"))
"""Which of them run one after the other."""
GRIDS: dict[str, dict] = {
    "04_ablation_target": {"sigmas": "0.05"},
    "05_ablation_embedding_size": {"ratios": "0.2", "readouts": "sum,best"},
    "06_ablation_augmentation": {"views": "2"},
    "07_ablation_loss_weights_and_steps": {
        **{"runs": 1, "one_step_seeds": 2, "weights": "0:0:1", "step_counts": "1", "image_counts": "3"},
        **{"learning_rates": "1.0", "framings": "squash", "timesteps": "300"},
    },
    "09_failed_approaches": {"windows": "0.3", "pictures": 3},
}
"""Ablations over a few variants."""
BEYOND: dict[str, dict] = {"10_beyond_the_paper": {"joints": "left_foot,neck"}}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory, tiny_sd_folder, tiny_threedpw, warm_python) -> Path:
    """The results folder after all notebooks; two of them at a time, after 02 those that need its base, most
    of them with the same weights in one file.
    """
    from helpers import one_file, tiny_vision

    from kp_helpers.figures import benchmark_worlds
    from kp_helpers.figures.export import export

    root = tmp_path_factory.mktemp("results")
    export(root / "world", sequences=5, frames=2)
    benchmark_worlds.export(root / "worlds", train=8, test=4)
    foreign = {"model": tiny_sd_folder, "data": tiny_threedpw}
    on_base = {**foreign, "base": root / "02_stable_keypoints" / "smoke" / "embedding.safetensors"}
    first = {"02_stable_keypoints": foreign, "03_appended_embedding": on_base, "08_evaluate_3dpw": on_base}
    single = one_file.beside_its_settings(tiny_sd_folder, tmp_path_factory.mktemp("one") / "sd.safetensors")
    foreign, on_base = {**foreign, "model": single}, {**on_base, "model": single}
    first["14_your_own_pictures"] = {**on_base, "example": root / "own_pictures"}
    drawing = ("00_figures_world", "01_attention_extraction", "13_edit_by_instruction")
    second = dict.fromkeys(drawing, foreign)
    second["12_open_vocabulary_segmentation"] = {"variants": "control"}
    second["11_unsupervised_benchmarks"] = {"model": tiny_sd_folder, "data": root / "worlds"}
    own = {"00_figures_world": {"data": root / "world", "pictures": 2, "samples": 2}}
    jobs = [(root, first), (root, second), (root / "own", own)]
    every = GRIDS | BEYOND
    grids = [{name: {**on_base, **every[name]} for name in every if name[:2] in pair} for pair in ABLATIONS]
    seeing = tmp_path_factory.mktemp("vision")
    grids[1]["09_failed_approaches"] |= {
        "clip": tiny_vision.make_clip(seeing / "clip"),
        "detector": tiny_vision.make_detector(seeing / "yolos"),
    }
    with ThreadPoolExecutor(2) as pool:
        python, ablations = repeat(warm_python), [(root, notebooks) for notebooks in grids]
        errors = list(pool.map(reproduce, python, *zip(*jobs, strict=True)))
        errors += pool.map(reproduce, python, *zip(*ablations, strict=True))
    (root / "failed.txt").write_text("".join(errors))
    return root


def reproduce(python: Path, root: Path, notebooks: dict[str, dict]) -> str:
    """Run notebooks one after the other in profile smoke; returns what went wrong, empty if nothing did."""
    errors = ""
    for name, parameters in notebooks.items():
        command = [python, "-m", "kp_helpers.reproduce", NOTEBOOKS / f"{name}.ipynb"]
        command += [root / name / "smoke", "--timeout", "240"]
        for parameter, value in {"profile": "smoke", **parameters}.items():
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
    # these measure on scenes and worlds of their own, whatever folder they show
    drawn = name[:2] in ("00", "01", "11", "12", "13")
    assert config["data"]["kind"] == ("figures" if drawn else "3DPW") and config["settings"]


@pytest.mark.parametrize("name", GRIDS)
def test_an_ablation_keeps_its_verdicts_and_differences(name, results):
    out = results / name / "smoke"
    verdicts = list(csv.DictReader((out / "verdicts.csv").open()))
    assert verdicts and {row["verdict"] for row in verdicts} <= set(VERDICTS)
    known = {(claim.id, claim.list) for claim in CLAIMS if claim.notebook == name}
    assert {(row["id"], row["list"]) for row in verdicts} <= known, "claims.toml has all that is judged"
    differences = list(csv.DictReader((out / "differences.csv").open()))
    methods = {row["method"] for row in predictions(out)}
    assert {row["variant"] for row in differences} < methods and "mean position" in methods
    config = json.loads((out / "config.json").read_text())["settings"]
    assert config["joint"] == "left_foot" and config.keys() & {"variants", "views"}


def test_the_benchmark_has_verdicts_controls_and_the_published_numbers(results):
    out = results / "11_unsupervised_benchmarks" / "smoke"
    rows = list(csv.DictReader((out / "verdicts.csv").open()))
    asked = {claim.id for claim in CLAIMS if claim.notebook == "11_unsupervised_benchmarks"}
    assert {row["id"] for row in rows} == asked and {row["verdict"] for row in rows} <= set(VERDICTS)
    metrics = json.loads((out / "metrics.json").read_text())
    assert {row["method"] for row in metrics} > {
        "learned",
        "random",
        "mean position",
        "from taichi",
        "2 views",
    }
    quoted = {row["joint"]: row["paper"] for row in metrics if row["paper"] is not None}
    assert quoted["celeba_aligned"] == 3.6 and len(quoted) == 5
    (transfer,) = (
        row for row in csv.DictReader((out / "transfer.csv").open()) if row["learned on"] == "from taichi"
    )
    assert transfer["human3.6m"] and transfer["cub_aligned"]


def test_the_base_embedding_can_be_read_again(results, tiny_sd):
    base = results / "02_stable_keypoints" / "smoke" / "embedding.safetensors"
    tensors, about = embeddings.load(base, fingerprint=tiny_sd.fingerprint, width=tiny_sd.context_width)
    assert tensors["base"].shape == (30, tiny_sd.context_width) and len(tensors["selected_tokens"]) == 10
    assert about["timestep"] == 0 and len(about["layers"]) == 4


def test_predictions_name_picture_method_and_run(results):
    rows = predictions(results / "08_evaluate_3dpw" / "smoke")
    methods, fits = ["appended, coupled mode", *CONTROLS], ["ridge, 2 labels", "ridge, 9 labels"]
    count = 3 * (len(methods) + len(fits)) + 1 * len(methods)
    assert len(rows) == count * 2 * 2, "joints and methods of both designs, runs, images"
    second = {f"{name}, training images 3" for name in methods}
    assert {row["method"] for row in rows} == {*methods, *fits} | second
    assert all(row["image"].startswith("test_") and row["error"] for row in rows)


def test_the_protocol_has_a_verdict_on_every_claim(results):
    out = results / "08_evaluate_3dpw" / "smoke"
    rows = list(csv.DictReader((out / "verdicts.csv").open()))
    assert {row["verdict"] for row in rows} <= set(VERDICTS)
    asked = {claim.id for claim in CLAIMS if claim.notebook == "08_evaluate_3dpw"}
    assert {row["id"] for row in rows} == asked - {"modes"}, "what the page looks for; one mode alone is run"
    misses = list(csv.DictReader((out / "misses.csv").open()))
    assert {row["method"] for row in misses if row["train_images"] == "2"} > {CHANCE, *CONTROLS}


def test_the_goals_are_asked_of_every_joint_and_of_the_claims(results):
    out = results / "10_beyond_the_paper" / "smoke"
    rows = list(csv.DictReader((out / "verdicts.csv").open()))
    known = {claim.id for claim in CLAIMS if claim.notebook == "10_beyond_the_paper"}
    unseen = known - {row["id"] for row in rows}
    assert unseen <= {"wrong-side", "contrast"}, "nothing of the tiny model is near a joint"
    assert {row["verdict"] for row in rows} <= set(VERDICTS)
    goals = {row["against"] for row in rows if row["id"] == "goals"}
    assert goals == {"55 %", "70 %"}, "five and twenty labels; of two joints nobody says the mean of twelve"
    steps = {row["method"] for row in csv.DictReader((out / "ladder.csv").open())}
    assert steps > {"paper", "1 cross-entropy", "6 with its mirror image", "mean position"}
    methods = {row["method"] for row in csv.DictReader((out / "joints.csv").open())}
    assert methods >= {"best", "paper", "nearest neighbour", "ridge, 2 labels", "mean position"}


def test_the_papers_numbers_are_marked_as_theirs(results):
    path = results / "08_evaluate_3dpw" / "smoke" / "metrics.json"
    metrics = json.loads(path.read_text())
    quoted = [row for row in metrics if row["paper"] is not None]
    assert len(quoted) == 5 + 2, "both designs"
    assert all(row["source"].startswith("paper's, on 3DPW") for row in quoted)


def test_the_model_and_world_of_the_kit_itself(results):
    out = results / "own" / "00_figures_world" / "smoke"
    names = {row["name"] for row in json.loads((out / "metrics.json").read_text())}
    for kind in ("word's map inside its thing", "limb's map inside it"):
        assert {f"maximum of a {kind}, {name}" for name in ("figures", "figures-plain")} <= names
    assert json.loads((out / "config.json").read_text())["data"]["kind"] == "figures"


def test_the_runs_can_be_shown(results):
    assert not index(results)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        (
            "03_appended_embedding",
            {"profile": "quik"},
            "ConfigError: profile is 'quik', expected one of smoke",
        ),
        (
            "11_unsupervised_benchmarks",
            {"profile": "smoke", "benchmark": "celeba"},
            "DataError: benchmark 'celeba' is unknown, did you mean 'celeba_",
        ),
        (
            "10_beyond_the_paper",
            {"joints": "left_toe"},
            "DataError: joint 'left_toe' is unknown, did you mean 'left_knee'?",
        ),
    ],
)
def test_a_wrong_setting_stops_at_the_settings(name, given, said, tmp_path, tiny_threedpw, warm_python):
    assert said in reproduce(warm_python, tmp_path, {name: {**given, "data": tiny_threedpw}})


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
