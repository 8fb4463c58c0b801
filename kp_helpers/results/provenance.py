"""The facts round a run that decide its numbers: versions, model, data, device, threads, determinism."""

import hashlib
import json
import os
import platform
import shlex
from importlib import metadata
from pathlib import Path

from kp_helpers import __version__
from kp_helpers.results.run_folder import ResultsError, project_path, write_json

_PACKAGES = ("torch", "diffusers", "transformers", "kornia", "numpy", "scikit-learn", "pillow")


DRAWN = {"name": "scenes drawn in the notebook", "kind": "figures", "sha256": ""}
"""What 00 and 01 measure on, whatever folder they show."""


def run_facts(
    *, seed: int, model: str, fingerprint: str, data: str | Path | None, device: str, level: str | None = None
) -> dict:
    """What `RunFolder.config` writes beside the settings.

    model: name of the model, fingerprint: SHA-256 of its U-Net; data: a folder in 3DPW's layout, None for
    scenes that the notebook draws itself; device: as torch names it; level: of determinism, A, B or C; None
    is the one in force, `randomness.level`.
    """
    from kp_helpers import randomness  # here, so that indexing results does not wait for torch

    level = level or randomness.level(device)
    if level not in randomness.LEVELS:
        raise ResultsError(f"level is {level!r}, expected one of {', '.join(randomness.LEVELS)}")
    return {
        "seed": seed,
        "model": {"name": str(model), "sha256": fingerprint},
        "data": DRAWN if data is None else describe_data(Path(data)),
        "device": str(device),
        "machine": describe_machine(str(device)),
        "threads": _threads(),
        "determinism": f"{level}: {randomness.LEVELS[level]}",
        "versions": {"keypoint-kit": __version__, "python": platform.python_version()} | _versions(),
    }


def describe_data(folder: Path) -> dict:
    """{"name", "kind", "sha256"} of a data folder; kind is "figures" for the exported world, "own
    pictures" for a folder without 3DPW's `sequenceFiles`, else "3DPW".

    The hash is that of `manifest.json`, which holds the files' own hashes; without one, of names and sizes.
    """
    if not folder.is_dir():
        raise ResultsError(f"data: {folder} is no folder; the figures world is made by `make reproduce`")
    manifest = folder / "manifest.json"
    if manifest.is_file():
        content = manifest.read_bytes()
        return {"name": folder.name, "kind": _kind(content), "sha256": hashlib.sha256(content).hexdigest()}
    listed, kind = (folder / "sequenceFiles").rglob("*.pkl"), "3DPW"
    if not (folder / "sequenceFiles").is_dir():
        listed, kind = (path for path in folder.rglob("*") if path.is_file()), "own pictures"
    listing = "".join(
        f"{path.relative_to(folder).as_posix()}\t{path.stat().st_size}\n" for path in sorted(listed)
    )
    return {"name": folder.name, "kind": kind, "sha256": hashlib.sha256(listing.encode()).hexdigest()}


def describe_machine(device: str) -> dict:
    """{"cores", "processor", "gpu"}: the cores that this process may use, and names as the makers give them.

    gpu is empty unless `device`, as torch names it, is one. Nothing here names the machine itself.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cores": cores, "processor": _processor(), "gpu": _gpu(device)}


def command_line(notebook: Path, run: str, parameters: dict[str, str]) -> str:
    """The line, to be given in the checkout, that makes a run of a notebook with these parameters.

    Paths inside the checkout are written from there; of any other absolute path the last name alone is told.
    """
    given = [_told(word) for pair in parameters.items() for word in ("-p", *pair)]
    words = ["python", "-m", "kp_helpers.reproduce", _told(str(notebook)), f"results/{notebook.stem}/{run}"]
    return shlex.join([*words, *given])


def add_facts(folder: Path, **facts) -> None:
    """Add to a run's `config.json` what only the one who ran it knows; a run without one is left without."""
    config = folder / "config.json"
    if config.is_file():
        write_json(config, {**json.loads(config.read_text(encoding="utf-8")), **facts})


def _told(word: str) -> str:
    path, checkout = Path(word), project_path(".")
    if not path.is_absolute():
        return word
    return path.relative_to(checkout).as_posix() if path.is_relative_to(checkout) else path.name


def _processor() -> str:
    listing = Path("/proc/cpuinfo")  # Linux; elsewhere the standard library knows
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _gpu(device: str) -> str:
    import torch  # here, so that indexing results does not wait for torch

    return torch.cuda.get_device_name(device) if device.startswith("cuda") else ""


def _kind(manifest: bytes) -> str:
    try:
        world = json.loads(manifest).get("world")
    except (ValueError, AttributeError):
        world = None
    return "figures" if world == "figures" else "3DPW"


def _threads() -> int:
    import torch  # here, for the same reason

    return torch.get_num_threads()


def _versions() -> dict:
    return {name: metadata.version(name) for name in _PACKAGES}
