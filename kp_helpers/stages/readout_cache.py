"""What read-out mode keeps of a view: queries and rivals, in memory and, where a folder is named, on disk.

On disk each view of an image is one safetensors file under the SHA-256 of everything that its numbers follow
from, so a file is never stale, and runs that see the same view under the same noise share it. Two processes
may build the same file: it is written whole, and both write the same numbers.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from kp_helpers import store
from kp_helpers.attention import Query
from kp_helpers.store import DamagedError


@dataclass(frozen=True)
class ReadoutView:
    """What the U-Net under the base context says of an image and one transformed view of it.

    queries: of each layer, (2, heads, d, h, w). rivals: of each layer log sum_n exp(logits) over the base
    tokens, (2, heads, S, S).
    """

    queries: list[Query]
    rivals: list[torch.Tensor]

    def to(self, device: str | torch.device) -> "ReadoutView":
        """The same on another device."""
        moved = [Query(query.layer, query.values.to(device)) for query in self.queries]
        return ReadoutView(moved, [rivals.to(device) for rivals in self.rivals])


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

    @classmethod
    def at(cls, where: "str | Path | ReadoutCache | None", device: str | torch.device) -> "ReadoutCache":
        """A cache as it is, or a new one in the folder that was given."""
        return where if isinstance(where, cls) else cls(where, device)

    def view(self, key: str, build: Callable[[], ReadoutView], *, keep: bool = True) -> ReadoutView:
        """The view of a key: from memory, from its file, or built. keep: whether memory holds it from now."""
        if key in self._memory:
            return self._memory[key]
        view = self._loaded(key)
        if view is None:
            view = build()
            self._save(key, view)
        if keep:
            self._memory[key] = view
        return view

    def _loaded(self, key: str) -> ReadoutView | None:
        path = self._path(key)
        if path is None or not path.exists():
            return None
        try:
            return _view(key, *store.load(path)).to(self.device)
        except (DamagedError, KeyError, OSError) as error:
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
        store.save(path, tensors, {"key": key, "layers": [query.layer for query in view.queries]})

    def _path(self, key: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{key}.safetensors"


def _view(key: str, tensors: dict[str, torch.Tensor], facts: dict) -> ReadoutView:
    """A file's content as a view; a DamagedError where it belongs to another key."""
    if facts.get("key") != key:
        raise DamagedError(f"its key is {facts.get('key')!r}")
    queries = [Query(layer, tensors[f"queries {layer}"]) for layer in facts["layers"]]
    return ReadoutView(queries, [tensors[f"rivals {layer}"] for layer in facts["layers"]])
