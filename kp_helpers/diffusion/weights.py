"""Where a component's weights lie on disk, in whichever of the customary forms: whole, in shards, of half
precision, or pickled.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kp_helpers import store
from kp_helpers.diffusion.model_folder import NETWORK_WEIGHTS, WEIGHTS, ModelError, tensor_shapes

PICKLES = {"diffusion_pytorch_model": "diffusion_pytorch_model", "model": "pytorch_model"}
"""What the names of safetensors begin with -> and those of pickles."""
VARIANTS = ("", "fp16")
"""The forms that are taken, the first that is there: published precision, then half."""
_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class Weights:
    """The files of one component's weights.

    files: one, or the shards. variant: as diffusers and transformers name it, None for the usual. pickled:
    whether they are a pickle, which is then read by torch's `weights_only`.
    """

    files: tuple[Path, ...]
    variant: str | None = None
    pickled: bool = False

    @property
    def fingerprint(self) -> str:
        """SHA-256 of a single file; of shards, of their names and hashes."""
        if len(self.files) == 1:
            return store.sha256(self.files[0])
        return store.key_of(**{path.name: store.sha256(path) for path in self.files})


def find(folder: Path, part: str) -> Weights:
    """The weights of a component in its folder: safetensors before pickles, whole before half precision.

    ModelError where there are none, a shard is missing, or a file is truncated or a Git LFS pointer.
    """
    stem = WEIGHTS.get(part, NETWORK_WEIGHTS).removesuffix(".safetensors")
    for weights in _forms(folder, stem):
        for path in weights.files:
            _check_file(path)
            if not weights.pickled:
                tensor_shapes(path)  # names the file if it is truncated
        return weights
    others = sorted(path.name for path in folder.glob("*") if path.suffix in (".bin", ".ckpt", ".pt", ".pth"))
    found = f"found only {others[0]}, a pickle of another name" if others else "found no weights"
    raise ModelError(f"{folder / stem}.safetensors: missing, {found}; expected them as safetensors or shards")


def _forms(folder: Path, stem: str) -> Iterator[Weights]:
    """Those of the known forms whose first file is there."""
    for variant in VARIANTS:
        middle = f".{variant}" if variant else ""
        whole = folder / f"{stem}{middle}.safetensors"
        index = folder / f"{stem}.safetensors.index{middle}.json"
        if whole.is_file():
            yield Weights((whole,), variant or None)
        if index.is_file():
            yield Weights(_shards(index), variant or None)
    for variant in VARIANTS:
        pickle = folder / f"{PICKLES[stem]}{f'.{variant}' if variant else ''}.bin"
        if pickle.is_file():
            yield Weights((pickle,), variant or None, pickled=True)


def _shards(index: Path) -> tuple[Path, ...]:
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelError(f"{index}: no index of shards ({error!r}), expected a `weight_map`") from None
    for name in names:
        if Path(name).name != name:
            raise ModelError(f"{index}: names the shard {name!r}, expected files beside it")
    return tuple(index.with_name(name) for name in names)


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise ModelError(f"{path}: missing, expected all shards that the index beside it names")
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise ModelError(
                f"{path}: is a Git LFS pointer, expected weights; `git lfs pull` in that folder fetches them"
            )
