"""A sweep of small jobs, Snakemake on it, and processes that are killed at random once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
import yaml

from kp_helpers import embeddings

ROOT = Path(__file__).parents[2]
KILLER = '''"""SIGKILL for the jobs in `killed.json`, each once, so many seconds after its start."""
import atexit, json, os, pathlib, random, signal, sys, threading

if "kp_helpers.notebook.sweeps" in sys.orig_argv and "job" in sys.orig_argv:
    place = pathlib.Path(__file__).parent
    name = sys.orig_argv[sys.orig_argv.index("job") + 2]
    seconds = json.loads((place / "killed.json").read_text()).get(name)
    mark = place / f"{name}.killed"
    if seconds is not None and not mark.exists():
        def kill():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        timer = threading.Timer(seconds, kill)
        timer.daemon = True
        timer.start()
        atexit.register(kill)  # one that is done before its time dies after its work
'''
STUB = '''"""In the place of a job's work: a result at once, or the failure of the one that `fails` names."""
import json, pathlib, sys, types

if "kp_helpers.notebook.sweeps" in sys.orig_argv:
    work = sys.modules["kp_helpers.notebook.sweeps.job"] = types.ModuleType("job")  # without torch

    here = pathlib.Path(__file__).parent

    def run_job(job, results, cache=None, checkpoint=None):
        with (here / "calls").open("a") as calls:
            calls.write(f"{job.name}\\n")
        if job.name == (here / "fails").read_text():
            raise FileNotFoundError("no picture")
        place = results / job.folder
        place.mkdir(parents=True, exist_ok=True)
        (place / "metrics.json").write_text("[]")
        (place / "config.json").write_text(json.dumps({"settings": job.saved_settings()}))
        return place

    work.run_job = run_job
'''


def make(folder: Path, model, data: Path, **changes) -> Path:
    """`sweeps.yaml` with a sweep of 8 jobs, some of its keys changed, and the base embedding that it names.

    model: the `Diffusion` of a folder.
    """
    about = {"space": "unet context", "model": model.name, "model_hash": model.fingerprint, "layers": []}
    base = embeddings.initialise(6, model.context_width, 0)
    embeddings.save(
        folder / "base.safetensors", {"base": base}, {**about, "timestep": 0, "settings": {}, "seed": 0}
    )
    small = {"steps": 3, "augmentation_pool": 2, "reading": {"map_size": 32}}
    sweep = {
        "profile": "smoke",
        "model": model.name,
        "data": str(data),
        "base": str(folder / "base.safetensors"),
        "joints": ["left_foot", "head"],
        "seeds": [0, 1],
        "common": {"appended": small},
        "settings": {"coupled": {}, "readout": {"appended": {"mode": "readout"}}},
        **changes,
    }
    (folder / "sweeps.yaml").write_text(yaml.safe_dump({"tiny": sweep}))
    return folder / "sweeps.yaml"


def snakemake(folder: Path, *more: str, path: Path | None = None) -> subprocess.Popen:
    """`snakemake sweep` in a folder with `sweeps.yaml`; one thread a job, so that two run side by side.

    path: a folder whose `sitecustomize` every Python process of it loads.
    """
    command = [sys.executable, "-m", "snakemake", "-s", ROOT / "Snakefile", "--directory", folder]
    command += ["--set-threads", "job=1", "--rerun-incomplete", "--keep-going", *more, "sweep"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{path or ''}:{ROOT}"}
    return subprocess.Popen(
        [str(word) for word in command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def killer(folder: Path, seconds: dict[str, float]) -> Path:
    """A folder for `snakemake`'s `path` that kills the named jobs so many seconds after they start."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(KILLER)
    (folder / "killed.json").write_text(json.dumps(seconds))
    return folder


def stub(folder: Path, fails: str = "") -> Path:
    """A folder for `snakemake`'s `path` with which jobs only leave a result, or fail if they are named."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(STUB)
    (folder / "fails").write_text(fails)
    return folder


def undisturbed(file: Path, results: Path) -> None:
    """Every job of the file, one after the other in this process."""
    from kp_helpers.notebook.sweeps import plan
    from kp_helpers.notebook.sweeps.job import run_job

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for job in plan.read(file):
            run_job(job, results)
    finally:
        torch.set_num_threads(threads)


def contents(results: Path) -> dict[str, dict[str, object]]:
    """Result folder -> file -> what it holds, but for the minutes that a job took."""
    found: dict[str, dict[str, object]] = {}
    for path in sorted((results / "sweeps" / "tiny").glob("*/*")):
        own = json.loads(path.read_text()) if path.suffix == ".json" else path.read_bytes()
        if path.name == "config.json":
            del own["minutes"]
        found.setdefault(path.parent.name, {})[path.name] = own
    return found
