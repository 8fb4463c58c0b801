"""The facts round a run that decide its numbers: versions, model, data, device, threads, determinism."""

import hashlib
import json
import platform
from importlib import metadata
from pathlib import Path

from kp_helpers import __version__
from kp_helpers.results.run_folder import ResultsError

LEVELS = {
    "A": "bit-identical on one machine with equal versions and threads",
    "B": "seeded; the spread over repeats is published",
    "C": "across machines: references with a tolerance",
}
_PACKAGES = ("torch", "diffusers", "transformers", "kornia", "numpy", "scikit-learn", "pillow")


def run_facts(
    *, seed: int, model: str, fingerprint: str, data: str | Path, device: str, level: str = "A"
) -> dict:
    """What `RunFolder.config` writes beside the settings.

    model: name of the model, fingerprint: SHA-256 of its U-Net; data: a folder in 3DPW's layout; device: as
    torch names it; level: of determinism, A, B or C.
    """
    if level not in LEVELS:
        raise ResultsError(f"level is {level!r}, expected one of {', '.join(LEVELS)}")
    return {
        "seed": seed,
        "model": {"name": str(model), "sha256": fingerprint},
        "data": describe_data(Path(data)),
        "device": str(device),
        "threads": _threads(),
        "determinism": f"{level}: {LEVELS[level]}",
        "versions": {"keypoint-kit": __version__, "python": platform.python_version()} | _versions(),
    }


def describe_data(folder: Path) -> dict:
    """{"name", "kind", "sha256"} of a data folder; kind is "figures" for the exported world, else "3DPW".

    The hash is that of `manifest.json`, which holds the files' own hashes; without one, of names and sizes.
    """
    if not folder.is_dir():
        raise ResultsError(f"data: {folder} is no folder; the figures world is made by `make reproduce`")
    manifest = folder / "manifest.json"
    if manifest.is_file():
        content = manifest.read_bytes()
        return {"name": folder.name, "kind": _kind(content), "sha256": hashlib.sha256(content).hexdigest()}
    listing = "".join(
        f"{path.relative_to(folder).as_posix()}\t{path.stat().st_size}\n"
        for path in sorted((folder / "sequenceFiles").rglob("*.pkl"))
    )
    return {"name": folder.name, "kind": "3DPW", "sha256": hashlib.sha256(listing.encode()).hexdigest()}


def _kind(manifest: bytes) -> str:
    try:
        world = json.loads(manifest).get("world")
    except (ValueError, AttributeError):
        world = None
    return "figures" if world == "figures" else "3DPW"


def _threads() -> int:
    import torch  # here, so that indexing results does not wait for torch

    return torch.get_num_threads()


def _versions() -> dict:
    return {name: metadata.version(name) for name in _PACKAGES}
