"""A run of the tuner and its file, from which it goes on after a kernel was lost."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import safetensors.torch
import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from kp_helpers.config import AppendedStage, ConfigError, TestTime
from kp_helpers.files import replace_file
from kp_helpers.runs import Run, StepRecord

LARGEST_FILE = 2**28
_ADAM = "adam "
_PARTS = ("localization", "equivariance", "target")


class TunerError(ValueError):
    """Something that the tuner cannot do; the sentence names the run or file and what was expected."""


@dataclass(eq=False)
class TunedRun:
    """What is known of a run. number: 0 for one that has no file, given to the tuner or not begun.

    losses: a row a step, the weighted total and the parts. hits: (step, hits, pictures) at every look.
    changes: (step, name -> value) of the settings that were changed on the way. state: `Run.state()` after
    the last step, None before the first.
    """

    number: int
    settings: AppendedStage
    test: TestTime
    state: dict | None = None
    losses: list[tuple[float, float, float, float]] = field(default_factory=list)
    hits: list[tuple[int, int, int]] = field(default_factory=list)
    changes: list[tuple[int, dict]] = field(default_factory=list)

    @classmethod
    def given(cls, stage: Run, records: list[StepRecord], test: TestTime) -> "TunedRun":
        """A run that was made elsewhere, with the records of its steps."""
        run = cls(0, stage.settings, test)
        for record in records:
            run.note(record, stage.state())
        return run

    @property
    def name(self) -> str:
        """How the page calls it."""
        return str(self.number) if self.number or self.step else "new"

    @property
    def step(self) -> int:
        return self.state["step"] if self.state else 0

    @property
    def finished(self) -> bool:
        return self.step >= self.settings.steps

    def copy(self) -> "TunedRun":
        """A run of its own that stands where this one does."""
        return replace(self, losses=[*self.losses], hits=[*self.hits], changes=[*self.changes])

    def note(self, record: StepRecord, state: dict) -> None:
        """Take over a step and the state behind it."""
        self.losses.append((record.loss, *(record.parts[name] for name in _PARTS)))
        self.state = state

    def note_hits(self, hits: int, pictures: int) -> None:
        """Take over what a look behind the last step found, in the place of an earlier look there."""
        if self.hits and self.hits[-1][0] == self.step:
            self.hits.pop()
        self.hits.append((self.step, hits, pictures))

    def change(self, settings: AppendedStage) -> None:
        """Go on with other settings; the state is said to belong to them, as it does from here."""
        before, after = self.settings.model_dump(mode="json"), settings.model_dump(mode="json")
        changed = {name: value for name, value in after.items() if value != before[name]}
        if changed and self.step:
            self.changes.append((self.step, changed))
        self.settings = settings
        if self.state:
            self.state = {**self.state, "settings": settings.model_dump_json()}


def save(path: Path, run: TunedRun, about: dict) -> None:
    """Write a run with at least one step, whole or not at all.

    about: what it learned from, as JSON values.
    """
    tensors = {
        "context": run.state["context"],
        "losses": torch.tensor(run.losses, dtype=torch.float64),
        "hits": torch.tensor(run.hits, dtype=torch.int64).reshape(-1, 3),
        **{_ADAM + name: value for name, value in run.state["optimizer"].items()},
    }
    text = {
        "settings": run.settings.model_dump_json(),
        "test": run.test.model_dump_json(),
        "changes": json.dumps(run.changes),
        "about": json.dumps(about, sort_keys=True),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    replace_file(path, lambda partial: safetensors.torch.save_file(tensors, partial, metadata=text))


def load(path: Path, number: int, about: dict) -> TunedRun | None:
    """The run that `save` wrote, None if it learned from something else.

    TunerError if the file is damaged.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(f"it holds more than {LARGEST_FILE} bytes")
        with safe_open(path, framework="pt") as file:
            text = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
        return _run(number, text, tensors) if json.loads(text["about"]) == about else None
    except (SafetensorError, ValidationError, ConfigError, ValueError, KeyError, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise TunerError(f"{path}: damaged or no run of the tuner ({reason}); it is left as it is") from None


def _run(number: int, text: dict[str, str], tensors: dict[str, torch.Tensor]) -> TunedRun:
    losses, hits = tensors["losses"], tensors["hits"]
    if losses.ndim != 2 or losses.shape[1] != 1 + len(_PARTS) or not torch.isfinite(losses).all():
        raise ValueError(f"losses have shape {tuple(losses.shape)} or are not finite")
    optimizer = {name.removeprefix(_ADAM): one for name, one in tensors.items() if name.startswith(_ADAM)}
    settings = AppendedStage.model_validate_json(text["settings"])
    context = tensors["context"]
    if context.ndim != 2 or not torch.isfinite(context).all():
        raise ValueError(f"context has shape {tuple(context.shape)} or is not finite")
    state = {"step": len(losses), "context": context, "optimizer": optimizer}
    return TunedRun(
        number=number,
        settings=settings,
        test=TestTime.model_validate_json(text["test"]),
        state={**state, "settings": settings.model_dump_json()},
        losses=[tuple(row) for row in losses.tolist()],
        hits=[tuple(row) for row in hits.tolist()],
        changes=[(int(step), dict(changed)) for step, changed in json.loads(text["changes"])],
    )
