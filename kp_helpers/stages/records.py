"""What is known of a step of a run."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StepRecord:
    """One step: its number from 0, the weighted loss, the parts of the loss by name before weighting."""

    step: int
    loss: float
    parts: dict[str, float]
