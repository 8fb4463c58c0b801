"""`make clean` in a checkout with everything that runs make, and what killed ones leave."""

import shutil
import subprocess
from pathlib import Path

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
