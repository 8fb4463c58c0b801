"""What read-out mode keeps of a view: queries and rivals, in memory and, where a folder is named, on disk.

On disk each view of an image is one safetensors file under the SHA-256 of everything that its numbers follow
from, so a file is never stale, and runs that see the same view under the same noise share it. Two processes
may build the same file: it is written whole, and both write the same numbers.
"""

import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from kp_helpers.attention import Query
from kp_helpers.files import replace_file

FORMAT = 1
"""Goes up when the same settings lead to other numbers, so that files of before are not found any more."""


@dataclass(frozen=True)
class ReadoutView:
    """What the U-Net under the base context says of an image and one transformed view of it.

    queries: of each layer, (2, heads, d, h, w). rivals: of each layer log sum_n exp(logits) over the base
    tokens, (2, heads, S, S).
    """

    queries: list[Query]
    rivals: list[torch.Tensor]

    def to(self, *where) -> "ReadoutView":
        """The same in another precision or on another device, as `torch.Tensor.to` takes them."""
        moved = [Query(query.layer, query.values.to(*where)) for query in self.queries]
        return ReadoutView(moved, [rivals.to(*where) for rivals in self.rivals])


class ReadoutCache:
    """Views by key, for use on `device`.

    folder: where their files lie, None for memory only; it is made with the first file.
    """

    def __init__(self, folder: str | Path | None = None, device: str | torch.device = "cpu"):
        self.folder = None if folder is None else Path(folder)
        if self.folder is not None and self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"cache: {self.folder} is a file, expected a folder")
        self.device = device
        self._memory: dict[str, ReadoutView] = {}

    def view(self, key: str, build: Callable[[], ReadoutView], *, keep: bool = True) -> ReadoutView:
        """The view of a key: from memory, from its file, or built. keep: whether memory holds it from now."""
        if key in self._memory:
            return self._memory[key]
        found = self._loaded(key)
        if found is None:
            found = build()
            self._save(key, found)
        if keep:
            self._memory[key] = found
        return found

    def _loaded(self, key: str) -> ReadoutView | None:
        path = self._path(key)
        if path is None or not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                about = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
            return _view(key, about, tensors).to(self.device)
        except (SafetensorError, ValueError, KeyError, OSError) as error:
            warnings.warn(
                f"{path}: damaged or no file of this cache ({str(error)[:200]}); it is built again",
                stacklevel=2,
            )
            return None

    def _save(self, key: str, view: ReadoutView) -> None:
        path = self._path(key)
        if path is None:
            return
        tensors = {f"queries {query.layer}": query.values for query in view.queries}
        tensors |= {f"rivals {q.layer}": r for q, r in zip(view.queries, view.rivals, strict=True)}
        tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        layers = json.dumps([query.layer for query in view.queries])
        about = {"key": key, "layers": layers, "sha256": digest(tensors)}
        replace_file(path, lambda partial: safetensors.torch.save_file(tensors, partial, metadata=about))

    def _path(self, key: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{key}.safetensors"


def key_of(**parts) -> str:
    """SHA-256 of JSON values by name, whatever their order: the key of what follows from them alone."""
    return hashlib.sha256(json.dumps({"format": FORMAT, **parts}, sort_keys=True).encode()).hexdigest()


def digest(tensors: dict[str, torch.Tensor]) -> str:
    """SHA-256 of tensors (at least one axis each) on the CPU: names, types, shapes and every number."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        found.update(tensor.view(torch.uint8).numpy())
    return found.hexdigest()


def _view(key: str, about: dict[str, str], tensors: dict[str, torch.Tensor]) -> ReadoutView:
    """A file's content as a view; a ValueError where it is not what was written under this key."""
    if about.get("key") != key:
        raise ValueError(f"its key is {about.get('key')!r}")
    if about.get("sha256") != digest(tensors):
        raise ValueError("its numbers are not those that were written")
    layers = json.loads(about["layers"])
    queries = [Query(layer, tensors[f"queries {layer}"]) for layer in layers]
    return ReadoutView(queries, [tensors[f"rivals {layer}"] for layer in layers])
