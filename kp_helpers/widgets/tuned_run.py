"""A run of the tuner and its file, from which it goes on after a kernel was lost."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from pydantic import ValidationError

from kp_helpers import store
from kp_helpers.config import AppendedStage, ConfigError, TestTime
from kp_helpers.stages import StepRecord

_ADAM = "adam "
_PARTS = ("localization", "equivariance", "target")


class TunerError(ValueError):
    """Something that the tuner cannot do; the sentence names the run or file and what was expected."""


@dataclass(eq=False)
class TunedRun:
    """What is known of a run. number: 0 for one that has no file, given to the tuner or not begun.

    hits: (step, hits, pictures) at every look.
    changes: (step, name -> value) of the settings that were changed on the way. state: `Run.state()` after
    the last step, None before the first.
    """

    number: int
    settings: AppendedStage
    test: TestTime
    state: dict | None = None
    hits: list[tuple[int, int, int]] = field(default_factory=list)
    changes: list[tuple[int, dict]] = field(default_factory=list)

    @property
    def losses(self) -> list[tuple[float, float, float, float]]:
        """A row a step: the weighted total and the parts."""
        records = self.state["records"] if self.state else []
        return [(record.loss, *(record.parts[name] for name in _PARTS)) for record in records]

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
        return replace(self, hits=[*self.hits], changes=[*self.changes])

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
        "tokens": run.state["tokens"],
        "losses": torch.tensor(run.losses, dtype=torch.float64),
        "hits": torch.tensor(run.hits, dtype=torch.int64).reshape(-1, 3),
        **{_ADAM + name: value for name, value in run.state["optimizer"].items()},
    }
    settings, test = (group.model_dump(mode="json") for group in (run.settings, run.test))
    facts = {"settings": settings, "test": test, "changes": run.changes, "about": about}
    store.save(path, tensors, facts)


def load(path: Path, number: int, about: dict) -> TunedRun | None:
    """The run that `save` wrote, None if it learned from something else.

    TunerError if the file is damaged.
    """
    try:
        tensors, facts = store.load(path)
        return _run(number, facts, tensors) if facts["about"] == about else None
    except (ValidationError, ConfigError, ValueError, KeyError, TypeError, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise TunerError(f"{path}: damaged or no run of the tuner ({reason}); it is left as it is") from None


def _run(number: int, facts: dict, tensors: dict[str, torch.Tensor]) -> TunedRun:
    losses, tokens = tensors["losses"], tensors["tokens"]
    if losses.ndim != 2 or losses.shape[1] != 1 + len(_PARTS) or not torch.isfinite(losses).all():
        raise ValueError(f"losses have shape {tuple(losses.shape)} or are not finite")
    if tokens.ndim != 2 or not torch.isfinite(tokens).all():
        raise ValueError(f"tokens have shape {tuple(tokens.shape)} or are not finite")
    optimizer = {name.removeprefix(_ADAM): one for name, one in tensors.items() if name.startswith(_ADAM)}
    settings = AppendedStage(**facts["settings"])
    records = [
        StepRecord(step, loss, dict(zip(_PARTS, parts, strict=True)))
        for step, (loss, *parts) in enumerate(losses.tolist())
    ]
    state = {"step": len(records), "tokens": tokens, "optimizer": optimizer, "records": records}
    return TunedRun(
        number=number,
        settings=settings,
        test=TestTime(**facts["test"]),
        state={**state, "settings": settings.model_dump_json()},
        hits=[tuple(row) for row in tensors["hits"].tolist()],
        changes=[(int(step), dict(changed)) for step, changed in facts["changes"]],
    )
