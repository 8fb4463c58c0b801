"""The facts round a run that decide its numbers: versions, model, data, device, threads, determinism."""

import hashlib
import json
import os
import platform
import shlex
import subprocess
from importlib import metadata
from pathlib import Path

import torch

from kp_helpers import __version__

from kp_helpers.config import randomness
from kp_helpers.results.run_folder import ResultsError, project_path, write_json

_PACKAGES = ("torch", "diffusers", "transformers", "kornia", "numpy", "scikit-learn", "pillow")
DRAWN = {"name": "scenes drawn in the notebook", "kind": "figures", "sha256": ""}
"""What 00, 01 and 13 measure on, whatever folder they show."""


def run_facts(
    *,
    seed: int,
    model: str,
    fingerprint: str,
    data: str | Path | None,
    device: str,
    dtype: str = "torch.float32",
) -> dict:
    """What `RunFolder.config` writes beside the settings.

    model: name of the model, fingerprint: SHA-256 of its U-Net; data: a folder in 3DPW's layout, None for
    scenes that the notebook draws itself; device, dtype: of the model, as torch
    names them.
    """
    level = randomness.level(device)
    versions = {name: metadata.version(name) for name in _PACKAGES}
    return {
        "seed": seed,
        "model": {"name": str(model), "sha256": fingerprint},
        "data": DRAWN if data is None else describe_data(Path(data)),
        "device": str(device),
        "dtype": dtype,
        "machine": describe_machine(str(device)),
        "threads": torch.get_num_threads(),
        "determinism": f"{level}: {randomness.LEVELS[level]}",
        "versions": {"keypoint-kit": __version__, "python": platform.python_version(), **versions},
    }


def describe_data(folder: Path) -> dict:
    """{"name", "kind", "sha256"} of a data folder; kind is "figures" for the exported world, "3DPW" with
    3DPW's `sequenceFiles`, and else the folder's name, of a benchmark's set or of one's own pictures.

    The hash is that of `manifest.json`, which holds the files' own hashes; without one, of names and sizes.
    """
    if not folder.is_dir():
        raise ResultsError(f"data: {folder} is no folder; the figures world is made by `make reproduce`")
    manifest, sequences = folder / "manifest.json", folder / "sequenceFiles"
    if manifest.is_file():
        content = manifest.read_bytes()
        kind = _kind(content)
    else:
        kind = "3DPW" if sequences.is_dir() else f"the folder {folder.name}"
        paths = sequences.rglob("*.pkl") if sequences.is_dir() else folder.rglob("*")
        files = sorted(path for path in paths if path.is_file())
        lines = [f"{path.relative_to(folder).as_posix()}\t{path.stat().st_size}\n" for path in files]
        content = "".join(lines).encode()
    return {"name": folder.name, "kind": kind, "sha256": hashlib.sha256(content).hexdigest()}


def describe_picture(path: Path) -> dict:
    """`describe_data` of one picture of one's own."""
    return {"name": path.name, "kind": "own pictures", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def describe_machine(device: str) -> dict:
    """{"cores", "processor", "gpu"}: the cores that this process may use, and names as the makers give them.

    gpu is empty unless `device`, as torch names it, is one. Nothing here names the machine itself.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = torch.cuda.get_device_name(device) if device.startswith("cuda") else ""
    return {"cores": cores, "processor": _processor(), "gpu": gpu}


def command_line(notebook: Path, run: str, parameters: dict[str, str]) -> str:
    """The line, to be given in the checkout, that makes a run of a notebook with these parameters.

    Paths inside the checkout are written from there; of any other absolute path the last name alone is told.
    """
    words = [word for pair in parameters.items() for word in ("-p", *pair)]
    command = ["python", "-m", "kp_helpers.reproduce", str(notebook), f"results/{notebook.stem}/{run}"]
    return shlex.join(_without_machine(word) for word in [*command, *words])


def commit() -> str:
    """The checkout's commit, with "-dirty" where the package differs from it; empty without git."""
    git = ["git", "-C", str(project_path("."))]
    try:
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        code = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "kp_helpers"])
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head.stdout.strip() + ("-dirty" if code.returncode else "")


def add_facts(folder: Path, **facts) -> None:
    """Add to a run's `config.json` what only the one who ran it knows; a run without one is left without."""
    config = folder / "config.json"
    if config.is_file():
        write_json(config, {**json.loads(config.read_text(encoding="utf-8")), **facts})


def _without_machine(word: str) -> str:
    path, checkout = Path(word), project_path(".")
    if not path.is_absolute():
        return word
    return path.relative_to(checkout).as_posix() if path.is_relative_to(checkout) else path.name


def _processor() -> str:
    listing = Path("/proc/cpuinfo")  # Linux; elsewhere the standard library knows
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _kind(manifest: bytes) -> str:
    try:
        world = json.loads(manifest).get("world")
    except (ValueError, AttributeError):
        world = None
    return "figures" if world == "figures" else "3DPW"
