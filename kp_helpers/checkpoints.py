"""Runs on disk, so that a killed process is followed by one that goes on to the very same numbers.

A file holds what `RunBatch.states()` tells, the records of all steps so far, and what the runs follow from.
It needs no state of a random generator: noise, views and order follow from (seed, step, image). Of processes
that work on one batch together the first holds the folder and writes; all go on from what it read.
"""

import hashlib
import shutil
import signal
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path

import torch
from safetensors import SafetensorError

from kp_helpers import processes
from kp_helpers.checkpoint_file import Records, conditions, difference, merged, packed, read, unpacked
from kp_helpers.config import AppendedStage, BaseStage
from kp_helpers.diffusion import Diffusion
from kp_helpers.files import held, replace_file
from kp_helpers.model_folder import WEIGHTS, sha256
from kp_helpers.readout_cache import digest, key_of
from kp_helpers.runs import RunBatch
from kp_helpers.stop_signals import noted_signals, stopped_by

EVERY = 2.0
"""Seconds between two files."""
SHARE = 0.01
"""Of the time that may go into writing them: where a file takes long, the next one waits longer."""
_CODE = ("*.py", "config/*.py", "attention/*.py", "diffusion/*.py")
"""The files of the package that decide what is learned."""

Settings = Sequence[BaseStage | AppendedStage]


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used or written; the sentence names the file and what was expected."""


class Checkpoints:
    """The two newest states of a batch of runs, at its end the last, in a folder of its own.

    folder: None keeps nothing. settings: of each run. about: what else the runs follow from, as JSON values.
    every: seconds between two files, 0 for one after every step. changed: whether to go on from a state with
    other settings, or of what followed from something else. `resumed` is the step that `finish` went on from.
    """

    def __init__(
        self,
        folder: Path | None,
        settings: Settings,
        about: Mapping,
        *,
        every: float = EVERY,
        changed: bool = False,
    ):
        self.folder, self.settings = folder, [one.model_dump_json() for one in settings]
        self.about, self.every, self.changed = dict(about), every, changed
        self.resumed = 0
        self._newest: Path | None = None
        self._due = 0.0

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
        with ExitStack() as stack:
            states, records = processes.from_first(partial(self._taken, stack))
            batch = make(states=states)
            self.resumed = batch.step
            if len(batch):
                self._learn(batch, records, watch)
        return batch, records

    def _taken(self, stack: ExitStack) -> tuple[list[dict] | None, Records]:
        """What the folder holds, once it is this process's own."""
        stack.enter_context(held(self.folder / "lock"))
        for leftover in self.folder.glob(".step_*"):
            leftover.unlink()  # of a process that was killed while it wrote
        return self._load()

    def _learn(self, batch: RunBatch, records: Records, watch: Callable) -> None:
        stop, device = 0, batch.runs[0].context.device
        self._due = time.monotonic() + self.every
        with noted_signals() as noted:
            try:
                for rows in watch(batch):
                    records.append(rows)
                    if stop := processes.largest(noted[0] if noted else 0, device):
                        break
                    if len(batch) and time.monotonic() >= self._due:
                        self._save(batch, records)
            except CheckpointError:
                raise
            except BaseException:  # a loss that is NaN, memory that is full, a second signal
                if batch.step == len(records):
                    self._save(batch, records)
                raise
            self._save(batch, records, signal.Signals(stop).name if stop else None)
        if stop:
            raise stopped_by(stop, f"stopped behind step {batch.step}, kept in {self.folder}")

    def _save(self, batch: RunBatch, records: Records, interrupted: str | None = None) -> None:
        path, started = self.folder / f"step_{batch.step:06d}.safetensors", time.monotonic()
        if path == self._newest or not processes.is_first():
            return
        head = {"settings": self.settings, "about": self.about, "conditions": conditions()}
        content = packed(batch, records, {**head, "interrupted": interrupted})
        try:
            replace_file(path, lambda partial: partial.write_bytes(content))
        except OSError as error:
            reason = f"cannot be written ({error.strerror}), expected room and the right to write"
            raise CheckpointError(f"{path}: {reason}; what was there before is whole") from error
        kept = {path, self._newest} if len(batch) else {path}
        for other in set(self._files()) - kept:
            other.unlink(missing_ok=True)
        self._newest, now = path, time.monotonic()
        self._due = now + (max(self.every, (now - started) / SHARE) if self.every else 0)

    def _files(self) -> list[Path]:
        """From the newest to the oldest."""
        return sorted(self.folder.glob("step_*.safetensors"), reverse=True)

    def _load(self) -> tuple[list[dict] | None, Records]:
        for path in self._files():
            try:
                head, tensors = read(path)
                states, records = unpacked(head, tensors)
            except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
                reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
                warnings.warn(f"{path}: damaged ({reason}); the one before it is used", stacklevel=5)
                continue
            self._check(path, head)
            self._newest = path
            pairs = zip(states, self.settings, strict=True)
            return [{**state, "settings": own} for state, own in pairs], records
        return None, []

    def _check(self, path: Path, head: dict) -> None:
        """Whether the state is this batch's, and whether the very same numbers can follow from here."""
        found, wanted = merged(head["settings"], head["about"]), merged(self.settings, self.about)
        other = difference(found, wanted)
        if other and (not self.changed or found["runs"] != wanted["runs"]):
            raise CheckpointError(f"{path}: learned with {other}; remove it, or ask for `changed`")
        if now := difference(head["conditions"], conditions()):
            warnings.warn(f"{path}: made with {now} now; the run goes on, equal up to rounding", stacklevel=6)


def finish(
    root: Path | None,
    stages: Callable[..., RunBatch],
    diffusion: Diffusion,
    *given,
    watch: Callable[[RunBatch], Iterable] = iter,
    about: Mapping | None = None,
    **more,
) -> tuple[RunBatch, Records]:
    """`stages(diffusion, *given, **more)` run to its end, kept on its way below `root`; and all records.

    stages: `optimize.base_stages` or `appended_stages`; the last of `given` are the settings. A batch that is
    finished there already is read, not learned. watch: as for `Checkpoints.finish`. about: JSON values of
    what the runs follow from besides settings and tensors, such as `objectives`. root: None keeps nothing.
    """
    kept = of_batch(root, diffusion, given[-1], about, **_tensors({**dict(enumerate(given)), **more}))
    return kept.finish(partial(stages, diffusion, *given, **more), watch)


def of_batch(
    root: Path | None,
    diffusion: Diffusion,
    settings: Settings,
    about: Mapping | None = None,
    **data: torch.Tensor,
) -> Checkpoints:
    """`Checkpoints` in a folder of `root` that is named by all that the runs follow from.

    about: as for `finish`. data: the tensors that they learn from, by name. Changed settings, another model,
    other data or other code lead to another folder and a fresh start. root: None keeps nothing.
    """
    if root is None:
        return Checkpoints(None, settings, {})
    weights = diffusion.folder / "vae" / WEIGHTS["vae"]
    follows = {
        **(about or {}),
        "model": diffusion.fingerprint,
        "vae": _sha256(weights, weights.stat().st_mtime_ns),
        "device": torch.device(diffusion.device).type,
        "data": digest({name: tensor.detach().cpu() for name, tensor in data.items()}),
        "code": _code(),
    }
    key = key_of(settings=[one.model_dump(mode="json") for one in settings], **follows)
    return Checkpoints(Path(root) / key[:16], settings, follows)


def clear(root: Path | None) -> None:
    """Remove what `finish` kept below `root`, once what was learned is saved elsewhere."""
    if root is not None:
        shutil.rmtree(root, ignore_errors=True)


def _tensors(given: Mapping) -> dict[str, torch.Tensor]:
    """The tensors among arguments and in lists of these, by the argument's name."""
    found = {}
    for name, value in given.items():
        parts = enumerate(value) if isinstance(value, list | tuple) else [("", value)]
        found |= {f"{name} {part}": one for part, one in parts if isinstance(one, torch.Tensor)}
    return found


@cache
def _sha256(path: Path, changed: int) -> str:
    """SHA-256 of a file that was changed at a time, in ns."""
    return sha256(path)


@cache
def _code() -> str:
    """SHA-256 of the package's files that decide what is learned."""
    package = Path(__file__).parent
    found = hashlib.sha256()
    for path in sorted(path for pattern in _CODE for path in package.glob(pattern)):
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()
