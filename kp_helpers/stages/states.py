"""A run on disk: its two newest states, in a folder that is named by all that it follows from."""

import hashlib
import shutil
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from kp_helpers import store
from kp_helpers.store import DamagedError


@dataclass(frozen=True)
class StepRecord:
    """One step: its number from 0, the weighted loss, the parts of the loss by name before weighting."""

    step: int
    loss: float
    parts: dict[str, float]


EVERY = 2.0
"""Seconds between two states: what a run that is killed loses at most."""
SHARE = 0.01
"""Of the time that may go into writing them: where a file takes long, the next one waits longer."""
_CODE = ("*.py", "config/*.py", "attention/*.py", "diffusion/*.py", "stages/*.py")
"""The files of the package that decide what is learned."""
_NEWEST, _BEFORE = "state.safetensors", "before.safetensors"
_ADAM = "adam "


class CheckpointError(RuntimeError):
    """A state that cannot be written; the sentence names the file and what was expected."""


class States:
    """Where a run of `stage` keeps its states below `root`; None keeps nothing."""

    def __init__(self, stage, root: Path | None):
        self.folder = None if root is None else Path(root) / key_of(stage)[:16]
        self.due = 0.0

    @contextmanager
    def kept(self, run) -> Iterator[None]:
        """Hold the folder while steps are made, and keep the last state, also after an error of a step.

        Ctrl-C and a killed process leave the state of at most `EVERY` seconds before. Raises
        `store.HeldError` where another process makes the same run.
        """
        if self.folder is None or not len(run):
            yield
            return
        with store.held(self.folder / "lock"):
            for leftover in self.folder.glob(".*.safetensors"):
                leftover.unlink()  # of a process that was killed while it wrote
            self.due = time.monotonic() + EVERY
            try:
                yield
            except CheckpointError:
                raise
            except Exception:  # a loss that is NaN, memory that is full: the last good step is whole
                self._save(run)
                raise
            if not len(run):
                self._save(run)
                (self.folder / _BEFORE).unlink(missing_ok=True)

    def save_when_due(self, run) -> None:
        """Write the state if the last one is old enough; the one before it stays."""
        if self.folder is None or not len(run) or time.monotonic() < self.due:
            return
        started = time.monotonic()
        self._save(run)
        took = time.monotonic() - started
        self.due = time.monotonic() + (max(EVERY, took / SHARE) if EVERY else 0)

    def newest(self) -> dict | None:
        """The newest whole state, with the records of its steps."""
        for name in (_NEWEST, _BEFORE):
            path = self.folder / name
            if not path.exists():
                continue
            try:
                return unpacked(*store.load(path))
            except (DamagedError, ValueError, KeyError, TypeError, OSError) as error:
                warnings.warn(f"{path}: damaged ({error}); the one before it is used", stacklevel=3)
        return None

    def _save(self, run) -> None:
        path = self.folder / _NEWEST
        try:
            if path.exists():
                path.replace(self.folder / _BEFORE)
            store.save(path, *packed(run.state()))
        except OSError as error:
            reason = f"cannot be written ({error.strerror}), expected room and the right to write"
            raise CheckpointError(f"{path}: {reason}; the state before is whole") from error


def key_of(stage) -> str:
    """SHA-256 of all that a run of a stage follows from: settings, model, data and the package's own code."""
    diffusion = stage.diffusion
    return store.key_of(
        stage=type(stage).__qualname__,
        about=stage.about,
        settings=stage.settings.model_dump(mode="json"),
        model=diffusion.fingerprint,
        vae=diffusion.vae_fingerprint,
        computed=[torch.device(diffusion.device).type, str(diffusion.unet.dtype)],
        data=store.digest({name: tensor.detach().cpu() for name, tensor in stage.data.items()}),
        code=_code(),
    )


def clear(root: Path | None) -> None:
    """Remove what runs kept below `root`, once what was learned is saved elsewhere."""
    if root is not None:
        shutil.rmtree(root, ignore_errors=True)


def packed(state: dict) -> tuple[dict[str, torch.Tensor], dict]:
    """Tensors and facts of a state."""
    records = state["records"]
    rows = [[record.loss, *record.parts.values()] for record in records]
    tensors = {"tokens": state["tokens"], "records": torch.tensor(rows, dtype=torch.float64)}
    tensors |= {_ADAM + name: value for name, value in state["optimizer"].items()}
    parts = list(records[0].parts) if records else []
    conditions = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    return tensors, {"settings": state["settings"], "parts": parts, "conditions": conditions}


def unpacked(tensors: dict[str, torch.Tensor], facts: dict) -> dict:
    """The state again; warns where the very same numbers cannot follow from here."""
    now = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    if facts["conditions"] != now:
        warnings.warn(
            f"a run was begun with {facts['conditions']}, expected {now}; it goes on, equal up to rounding",
            stacklevel=4,
        )
    records = [
        StepRecord(step, loss, dict(zip(facts["parts"], parts, strict=True)))
        for step, (loss, *parts) in enumerate(tensors["records"].tolist())
    ]
    moments = {name.removeprefix(_ADAM): value for name, value in tensors.items() if name.startswith(_ADAM)}
    return {
        "step": len(records),
        "tokens": tensors["tokens"],
        "optimizer": moments,
        "records": records,
        "settings": facts["settings"],
    }


@cache
def _code() -> str:
    """SHA-256 of the package's files that decide what is learned."""
    package = Path(__file__).parents[1]
    checksum = hashlib.sha256()
    for path in sorted(path for pattern in _CODE for path in package.glob(pattern)):
        checksum.update(path.name.encode() + path.read_bytes())
    return checksum.hexdigest()
