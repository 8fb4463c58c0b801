"""Runs on disk, so that a killed process is followed by one that goes on to the very same numbers.

A file holds what `RunBatch.states()` tells, the records of all steps so far, and what the runs follow from.
It needs no state of a random generator: noise, views and order follow from (seed, step, image). It is
safetensors with JSON beside the tensors, and nothing in it is ever executed.
"""

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open

from kp_helpers.config import AppendedStage, BaseStage
from kp_helpers.diffusion import Diffusion
from kp_helpers.files import held, replace_file
from kp_helpers.model_folder import WEIGHTS, sha256
from kp_helpers.readout_cache import digest, key_of
from kp_helpers.runs import RunBatch, StepRecord
from kp_helpers.stop_signals import noted_signals, stopped_by

LARGEST_FILE = 2**30
EVERY = 25
"""Steps between two files."""
_CODE = ("*.py", "attention/*.py", "diffusion/*.py")
"""The files of the package that decide what is learned."""

Settings = Sequence[BaseStage | AppendedStage]
Records = list[list[StepRecord]]
"""A list a step, with a record of each run."""


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used or written; the sentence names the file and what was expected."""


class Checkpoints:
    """The two newest states of a batch of runs, in a folder of its own that one process uses at a time.

    folder: None keeps nothing. settings: of each run. about: what else the runs follow from, as JSON values.
    every: steps between two files. changed: whether to go on from a state with other settings, or of what
    followed from something else. `resumed` is the step that `finish` went on from.
    """

    def __init__(
        self,
        folder: Path | None,
        settings: Settings,
        about: Mapping,
        *,
        every: int = EVERY,
        changed: bool = False,
    ):
        self.folder, self.settings = folder, [one.model_dump_json() for one in settings]
        self.about, self.every, self.changed = dict(about), every, changed
        self.resumed = 0
        self._newest: Path | None = None

    def finish(
        self, make: Callable[..., RunBatch], watch: Callable[[RunBatch], Iterable] = iter
    ) -> tuple[RunBatch, Records]:
        """Make the batch from the newest whole state and run it to its end; returns it and all records.

        make(states=...): as `optimize.base_stages`, states None at step 0. watch: what to iterate over in the
        batch's place, such as a progress bar round it. SIGINT and SIGTERM let the step under way end and are
        raised when its state is on disk, and so is every error. Raises CheckpointError and HeldError.
        """
        if self.folder is None:
            batch = make(states=None)
            return batch, list(watch(batch))
        with held(self.folder / "lock"):
            for leftover in self.folder.glob(".step_*"):
                leftover.unlink()  # of a process that was killed while it wrote
            states, records = self._load()
            batch = make(states=states)
            self.resumed = batch.step
            self._learn(batch, records, watch)
        return batch, records

    def clear(self) -> None:
        """Remove the folder, once what was learned is saved elsewhere."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _learn(self, batch: RunBatch, records: Records, watch: Callable) -> None:
        with noted_signals() as noted:
            try:
                for rows in watch(batch):
                    records.append(rows)
                    if noted:
                        break
                    if batch.step % self.every == 0 and len(batch):
                        self._save(batch, records)
            except CheckpointError:
                raise
            except BaseException:  # a loss that is NaN, memory that is full, a second signal
                if batch.step == len(records):
                    self._save(batch, records)
                raise
            self._save(batch, records, noted[0].name if noted else None)
        if noted:
            raise stopped_by(noted[0], f"stopped behind step {batch.step}, kept in {self._newest}")

    def _save(self, batch: RunBatch, records: Records, interrupted: str | None = None) -> None:
        path = self.folder / f"step_{batch.step:06d}.safetensors"
        head = {"settings": self.settings, "about": self.about, "conditions": _conditions()}
        content = _packed(batch, records, {**head, "interrupted": interrupted})
        try:
            replace_file(path, lambda partial: partial.write_bytes(content))
        except OSError as error:
            reason = f"cannot be written ({error.strerror}), expected room and the right to write"
            raise CheckpointError(f"{path}: {reason}; what was there before is whole") from error
        for other in set(self._files()) - {path, self._newest}:
            other.unlink(missing_ok=True)
        self._newest = path

    def _files(self) -> list[Path]:
        """From the newest to the oldest."""
        return sorted(self.folder.glob("step_*.safetensors"), reverse=True)

    def _load(self) -> tuple[list[dict] | None, Records]:
        for path in self._files():
            try:
                head, tensors = _read(path)
                states, records = _unpacked(head, tensors)
            except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
                reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
                warnings.warn(f"{path}: damaged ({reason}); the one before it is used", stacklevel=3)
                continue
            self._check(path, head)
            self._newest = path
            pairs = zip(states, self.settings, strict=True)
            return [{**state, "settings": own} for state, own in pairs], records
        return None, []

    def _check(self, path: Path, head: dict) -> None:
        """Whether the state is this batch's, and whether the very same numbers can follow from here."""
        found, wanted = _merged(head["settings"], head["about"]), _merged(self.settings, self.about)
        other = _difference(found, wanted)
        if other and (not self.changed or found["runs"] != wanted["runs"]):
            raise CheckpointError(f"{path}: learned with {other}; remove it, or ask for `changed`")
        if now := _difference(head["conditions"], _conditions()):
            warnings.warn(f"{path}: made with {now} now; the run goes on, equal up to rounding", stacklevel=4)


def of_batch(
    root: Path | None, diffusion: Diffusion, settings: Settings, **data: torch.Tensor
) -> Checkpoints:
    """`Checkpoints` in a folder of `root` that is named by all that the runs follow from.

    data: the tensors that they learn from, by name. Changed settings, another model, other data or other code
    lead to another folder and a fresh start. root: None keeps nothing.
    """
    if root is None:
        return Checkpoints(None, settings, {})
    about = {
        "model": diffusion.fingerprint,
        "vae": sha256(diffusion.folder / "vae" / WEIGHTS["vae"]),
        "device": torch.device(diffusion.device).type,
        "data": digest({name: tensor.detach().cpu() for name, tensor in data.items()}),
        "code": _code(),
    }
    key = key_of(settings=[one.model_dump(mode="json") for one in settings], **about)
    return Checkpoints(Path(root) / key[:16], settings, about)


@cache
def _code() -> str:
    """SHA-256 of the package's files that decide what is learned."""
    package = Path(__file__).parent
    found = hashlib.sha256()
    for path in sorted(path for pattern in _CODE for path in package.glob(pattern)):
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()


def _conditions() -> dict:
    """What must be equal, on one machine, for equal numbers."""
    return {"torch": torch.__version__, "threads": torch.get_num_threads()}


def _merged(settings: Sequence[str], about: dict) -> dict:
    """The settings of all runs and what they follow from, by name, for a comparison."""
    named = {"runs": len(settings), **about}
    for run, text in enumerate(settings):
        named |= {f"{name} of run {run}": value for name, value in json.loads(text).items()}
    return named


def _difference(found: dict, wanted: dict) -> str | None:
    for name, value in wanted.items():
        if found.get(name) != value:
            return f"{name} {found.get(name)!r}, expected {value!r}"
    return None


def _packed(batch: RunBatch, records: Records, head: dict) -> bytes:
    tensors: dict[str, torch.Tensor] = {}
    for run, state in enumerate(batch.states()):
        tensors[f"{run} context"] = state["context"]
        tensors |= {f"{run} adam {name}": value for name, value in state["optimizer"].items()}
    parts = list(records[0][0].parts) if records else []
    rows = [[[own.loss, *(own.parts[part] for part in parts)] for own in row] for row in records]
    tensors["records"] = torch.tensor(rows, dtype=torch.float64)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps({**head, "parts": parts}, sort_keys=True)
    return safetensors.torch.save(tensors, {"head": text, "sha256": _checksum(text, tensors)})


def _read(path: Path) -> tuple[dict, dict[str, torch.Tensor]]:
    if path.stat().st_size > LARGEST_FILE:
        raise ValueError(f"it holds more than {LARGEST_FILE} bytes")
    with safe_open(path, framework="pt") as file:
        about = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
    if about["sha256"] != _checksum(about["head"], tensors):
        raise ValueError("its content is not what was written")
    return json.loads(about["head"]), tensors


def _unpacked(head: dict, tensors: dict[str, torch.Tensor]) -> tuple[list[dict], Records]:
    """The states, without their settings, and the records."""
    table = tensors.pop("records").tolist()
    records = [
        [StepRecord(step, loss, dict(zip(head["parts"], parts, strict=True))) for loss, *parts in row]
        for step, row in enumerate(table)
    ]
    states = []
    for run in range(len(head["settings"])):
        adam = f"{run} adam "
        moments = {name.removeprefix(adam): one for name, one in tensors.items() if name.startswith(adam)}
        states.append({"step": len(table), "context": tensors[f"{run} context"], "optimizer": moments})
    return states, records


def _checksum(head: str, tensors: dict[str, torch.Tensor]) -> str:
    flat = {name: tensor.reshape(-1) for name, tensor in tensors.items()}
    return hashlib.sha256(head.encode() + digest(flat).encode()).hexdigest()
