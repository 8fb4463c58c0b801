"""Where a component's weights lie on disk, in whichever of the customary forms: whole, in shards, of half
precision, or pickled.
"""

import hashlib
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch.serialization import safe_globals
from transformers import PreTrainedModel

from kp_helpers.diffusion.model_folder import NETWORK_WEIGHTS, WEIGHTS, ModelError, first_line, tensor_shapes

PICKLES = {"diffusion_pytorch_model": "diffusion_pytorch_model", "model": "pytorch_model"}
"""What the names of safetensors begin with -> and those of pickles."""
VARIANTS = ("", "fp16")
"""The forms that are taken, the first that is there: published precision, then half."""


class _OfTraining:
    """Stands for what a checkpoint of PyTorch Lightning keeps beside the weights."""


_scalar = np.float64(0).__reduce__()[0]
_IN_CHECKPOINTS = [
    (_OfTraining, "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"),
    (_scalar, "numpy.core.multiarray.scalar"),
    (_scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    type(np.dtype("float64")),
    type(np.dtype("int64")),
]
"""What the published checkpoints of Stable Diffusion name besides tensors; none of it does anything."""
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

    def build(
        self, kind: type, folder: Path, dtype: torch.dtype
    ) -> tuple[torch.nn.Module, list[str], list[tuple]]:
        """A network of diffusers or transformers with its weights; the names of those that are missing, and
        name, shape found and shape wanted of those that do not fit.
        """
        options = {"variant": self.variant, "use_safetensors": not self.pickled, "local_files_only": True}
        options |= {"output_loading_info": True, "ignore_mismatched_sizes": True}
        options["dtype" if issubclass(kind, PreTrainedModel) else "torch_dtype"] = dtype
        network, info = kind.from_pretrained(str(folder), **options)
        return network, sorted(info["missing_keys"]), info["mismatched_keys"]

    def tensors(self) -> dict[str, torch.Tensor]:
        """By name, as they are stored; memory is taken only for those that are looked at."""
        return {name: tensor for path in self.files for name, tensor in read(path).items()}


def read(path: Path) -> dict[str, torch.Tensor]:
    """What a file of safetensors or a pickle holds, by name. Nothing of a pickle is run.

    ModelError where the file is a Git LFS pointer, truncated, or asks for more than numbers.
    """
    check_file(path)
    if path.suffix == ".safetensors":
        tensor_shapes(path)
        return safetensors.torch.load_file(path)
    try:
        with safe_globals(_IN_CHECKPOINTS):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # a pickle can be wrong in many ways
        asked = re.search(r"GLOBAL (\S+)", str(error))  # torch's word for what is no number
        found = f"it asks for {asked[1]}" if asked else first_line(error)
        raise ModelError(f"{path}: no pickle of numbers alone, {found}") from error


def fingerprint(tensors: dict[str, torch.Tensor]) -> str:
    """SHA-256 of weights, the same for equal numbers in whatever form they are stored.

    It is that of one safetensors file as diffusers writes it: of float16 where that holds every number, as
    where half precision was made float32, and of float32 else.
    """
    half = all(torch.equal(tensor, tensor.half().to(tensor.dtype)) for tensor in tensors.values())
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name in sorted(tensors):
        start, end = end, end + tensors[name].numel() * (2 if half else 4)
        shape = list(tensors[name].shape)
        header[name] = {"dtype": "F16" if half else "F32", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    checksum = hashlib.sha256(len(text).to_bytes(8, "little") + text)
    for name in sorted(tensors):
        checksum.update(tensors[name].to(torch.float16 if half else torch.float32).contiguous().numpy())
    return checksum.hexdigest()


def find(folder: Path, part: str) -> Weights:
    """The weights of a component in its folder: safetensors before pickles, whole before half precision.

    ModelError where there are none, a shard is missing, or a file is truncated or a Git LFS pointer.
    """
    stem = WEIGHTS.get(part, NETWORK_WEIGHTS).removesuffix(".safetensors")
    for weights in _forms(folder, stem):
        for path in weights.files:
            check_file(path)
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


def check_file(path: Path) -> None:
    """ModelError where a file is missing or a Git LFS pointer."""
    if not path.is_file():
        raise ModelError(f"{path}: missing, expected all shards that the index beside it names")
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise ModelError(
                f"{path}: is a Git LFS pointer, expected weights; `git lfs pull` in that folder fetches them"
            )
