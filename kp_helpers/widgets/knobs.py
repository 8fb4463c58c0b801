"""What the tuner lets a reader turn, with its range: no value gets past here unchecked."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kp_helpers.config import AppendedStage, TestTime
from kp_helpers.reading import timestep_of

NEXT_STEP, NEXT_RUN, AT_ONCE = "from the next step", "from the next run", "at once"
"""When a knob that is turned during a run is heeded: what the tokens mean may not change on the way."""


@dataclass(frozen=True)
class Slider:
    """A number from low to high. step: of a slider that is not logarithmic. whole: integers only."""

    label: str
    low: float
    high: float
    step: float = 1
    heeded: str = NEXT_STEP
    whole: bool = False
    log: bool = False

    def check(self, value, before: float) -> tuple[float, str]:
        """The value that is used, and a sentence where it is not the one that was given."""
        expected = f"{self.label} is {value!r}, expected {self.low:g} to {self.high:g}"
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            return before, f"{expected}; it stays {before:g}"
        used = min(max(value, self.low), self.high)
        if used != value:
            return self._rounded(used), f"{expected}; {used:g} is used"
        return self._rounded(used), ""

    def _rounded(self, value: float) -> float:
        return round(value) if self.whole else float(value)


@dataclass(frozen=True)
class Choice:
    """One of several values. names: how the page calls them."""

    label: str
    options: tuple
    names: tuple[str, ...]
    heeded: str = NEXT_STEP

    def check(self, value, before) -> tuple[object, str]:
        """As `Slider.check`."""
        if type(value) is type(self.options[0]) and value in self.options:
            return value, ""
        expected = ", ".join(map(str, self.options))
        return before, f"{self.label} is {value!r}, expected one of {expected}; it stays {before}"


Knobs = Mapping[str, Slider | Choice]


def knobs(base_tokens: int, noise_levels: int, known: Sequence[Mapping]) -> Knobs:
    """Name -> knob, each wide enough for where it starts and for every run that can be restored.

    base_tokens: N of the base embedding. noise_levels: how many timesteps the model has. known: what
    `values_of` says of those.
    """
    shapes, modes = ("gaussian", "cauchy"), ("readout", "coupled")
    sizes = tuple(sorted({32, 64, 128, *(values["map_size"] for values in known)}))
    found = {
        "localization_weight": Slider("localization weight", 0, 20, 0.1),
        "equivariance_weight": Slider("equivariance weight", 0, 20, 0.1),
        "target_weight": Slider("target weight", 0, 20, 0.1),
        "target": Choice("target", shapes, ("Gaussian", "Cauchy")),
        "sigma": Slider("target σ", 0.01, 0.3, 0.005),
        "learning_rate": Slider("learning rate", 1e-4, 10, log=True),
        "steps": Slider("steps", 1, 500, whole=True),
        "appended": Slider("appended tokens", 1, max(base_tokens, 50), heeded=NEXT_RUN, whole=True),
        "timestep": Slider("noise level", 0, noise_levels - 1, heeded=NEXT_RUN, whole=True),
        "mode": Choice("mode", modes, ("read-out", "coupled"), NEXT_RUN),
        "map_size": Choice("side of the maps", sizes, tuple(map(str, sizes)), NEXT_RUN),
        "views": Slider("views at reading", 1, 10, heeded=AT_ONCE, whole=True),
    }
    return {name: _widened(knob, [values[name] for values in known]) for name, knob in found.items()}


def values_of(stage: AppendedStage, test: TestTime, diffusion, base_tokens: int) -> dict:
    """Where the knobs stand for some settings, name -> value."""
    same = (
        *("localization_weight", "equivariance_weight", "target_weight", "target", "sigma"),
        *("learning_rate", "steps", "mode"),
    )
    return {
        **{name: getattr(stage, name) for name in same},
        "appended": stage.appended_tokens(base_tokens),
        "timestep": timestep_of(diffusion, stage.reading),
        "map_size": stage.reading.map_size,
        "views": test.views,
    }


def stage_of(values: Mapping, stage: AppendedStage, base_tokens: int) -> AppendedStage:
    """`stage` with what the knobs say of learning."""
    own = {name: value for name, value in values.items() if name in AppendedStage.model_fields}
    reading = stage.reading.replace(timestep=values["timestep"], map_size=values["map_size"])
    return stage.replace(**own, ratio=values["appended"] / base_tokens, reading=reading)


def reading_of(values: Mapping, test: TestTime, stage: AppendedStage) -> TestTime:
    """`test` with the views that the knobs say, reading as `stage` does."""
    return test.replace(views=values["views"], reading=stage.reading)


def _widened(knob: Slider | Choice, values: Sequence) -> Slider | Choice:
    if isinstance(knob, Choice):
        return knob
    return replace(knob, low=min(knob.low, *values), high=max(knob.high, *values))
