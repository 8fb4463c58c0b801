"""`make clean` in a checkout with all that runs make and killed ones leave; what `make reproduce` runs."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kp_helpers.notebook.parameters import checked_parameters

ROOT = Path(__file__).parents[1]
KEPT = {
    "build/train/unet.safetensors",
    "build/own_pictures/a/labels.json",
    "build/tuner/left_foot/runs.json",
    "results/index.html",
    "results/08_evaluate_3dpw/quick/metrics.json",
    "results/08_evaluate_3dpw/quick.failed.ipynb",
    ".venv/bin/python",
    ".venv/lib/__pycache__/a.pyc",
    "Makefile",
}
MADE = {
    "build/figures/manifest.json",
    "build/figures-paper/manifest.json",
    "build/cache/ab12.safetensors",
    "build/checkpoints/08_evaluate_3dpw/quick/ab12/step_000007.safetensors",
    "build/checkpoints/08_evaluate_3dpw/quick/ab12/lock",
    "results/08_evaluate_3dpw/.quick.lock",
    "results/08_evaluate_3dpw/.quick.staging.x/notebook.ipynb",
    "results/sweeps/targets/.head-0-wide.lock",
    ".snakemake/locks/0.input.lock",
    "kp_helpers/__pycache__/a.pyc",
}


def test_clean_removes_what_runs_made_and_no_result_and_nothing_of_the_users(tmp_path):
    for name in KEPT | MADE:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    shutil.copy(ROOT / "Makefile", tmp_path)
    for _ in range(2):
        subprocess.run(["make", "--silent", "clean"], cwd=tmp_path, check=True)
        left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
        assert left == KEPT


@pytest.mark.parametrize(
    ("profile", "model", "mode", "size"),
    [
        ("quick", "figures", "", 0),
        ("paper", "figures", "readout", 64),
        ("paper", "sd", "", 0),
    ],
)
def test_every_notebook_knows_what_the_batch_gives_it(tmp_path, profile, model, mode, size):
    """By the commands that Snakemake would run, each beside the parameters of its notebook."""
    more = ["--config", f"profile={profile}", "run=none", f"model={model}", f"data={tmp_path}", "clip=seen"]
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run", "--printshellcmds", *more]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    lines = [shlex.split(line) for line in done.stdout.splitlines() if "kp_helpers.reproduce" in line]
    given = {}
    for words in lines:
        at = words.index("kp_helpers.reproduce")
        pairs = [words[n + 1 : n + 3] for n, word in enumerate(words) if word == "-p"]
        given[Path(words[at + 1]).stem] = checked_parameters(ROOT / words[at + 1], dict(pairs))
    assert sorted(given) == sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb")), done.stderr
    assert given["09_failed_approaches"]["clip"] == "seen"
    assert given["12_open_vocabulary_segmentation"].get("clip") == ("seen" if model == "sd" else None)
    own = given["08_evaluate_3dpw"]
    assert (own.get("mode", ""), own.get("map_size", 0)) == (mode, size)
    assert given["04_ablation_target"].get("map_size") == (0 if model == "sd" else None)
