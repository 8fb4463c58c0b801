"""What the tuner lets a reader turn: which settings, when a change takes effect, and their controls."""

from collections.abc import Iterable, Mapping

import ipywidgets as widgets

from kp_helpers.config import AppendedStage, TestTime
from kp_helpers.reading import timestep_of

NEXT_STEP = {
    "localization_weight": "localization weight",
    "equivariance_weight": "equivariance weight",
    "target_weight": "target weight",
    "target": "target",
    "sigma": "target σ",
    "learning_rate": "learning rate",
    "steps": "steps",
}
"""Knobs and their labels; turned during a run they take effect from its next step."""
NEXT_RUN = {
    "appended": "appended tokens",
    "timestep": "noise level",
    "mode": "mode",
    "map_size": "side of the maps",
}
"""From the next run: what the tokens mean may not change on the way."""
AT_ONCE = {"views": "views at reading"}
LABELS = NEXT_STEP | NEXT_RUN | AT_ONCE


def values_of(stage: AppendedStage, test: TestTime, diffusion, base_tokens: int) -> dict:
    """Where the knobs stand for some settings, name -> value; base_tokens: N of the base embedding."""
    same = {name: getattr(stage, name) for name in (*NEXT_STEP, "mode")}
    return {
        **same,
        "appended": stage.appended_tokens(base_tokens),
        "timestep": timestep_of(diffusion, stage.reading),
        "map_size": stage.reading.map_size,
        "views": test.views,
    }


def stage_of(values: Mapping, stage: AppendedStage, base_tokens: int) -> AppendedStage:
    """`stage` with what the knobs say of learning; ConfigError for a value that cannot be."""
    same = {name: values[name] for name in (*NEXT_STEP, "mode")}
    reading = stage.reading.replace(timestep=values["timestep"], map_size=values["map_size"])
    return stage.replace(**same, ratio=values["appended"] / base_tokens, reading=reading)


def controls(base_tokens: int, noise_levels: int, sizes: Iterable[int]) -> dict[str, widgets.ValueWidget]:
    """Name -> slider or menu. noise_levels: how many timesteps the model has; sizes: of maps in use."""
    weights = {"min": 0.0, "max": 20.0, "step": 0.1, "readout_format": ".1f"}
    found = {
        "localization_weight": widgets.FloatSlider(**weights),
        "equivariance_weight": widgets.FloatSlider(**weights),
        "target_weight": widgets.FloatSlider(**weights),
        "target": widgets.Dropdown(options={"Gaussian": "gaussian", "Cauchy": "cauchy"}),
        "sigma": widgets.FloatSlider(min=0.01, max=0.3, step=0.005, readout_format=".3f"),
        "learning_rate": widgets.FloatLogSlider(min=-4, max=1, step=0.05, readout_format=".3g"),
        "steps": widgets.IntSlider(min=1, max=500),
        "appended": widgets.IntSlider(min=1, max=max(base_tokens, 50)),
        "timestep": widgets.IntSlider(min=0, max=noise_levels - 1),
        "mode": widgets.Dropdown(options={"read-out": "readout", "coupled": "coupled"}),
        "map_size": widgets.Dropdown(options=sorted({32, 64, 128, *sizes})),
        "views": widgets.IntSlider(min=1, max=10),
    }
    for name, control in found.items():
        control.description = LABELS[name]
        control.style.description_width = "134px"
        control.layout.width = "350px"
    return found


def put(control: widgets.ValueWidget, value) -> None:
    """Let a control stand at a value; a slider is widened where that lies beyond its ends."""
    if isinstance(control, widgets.FloatSlider | widgets.IntSlider):
        control.min = min(control.min, value)
        control.max = max(control.max, value)
    control.value = value
