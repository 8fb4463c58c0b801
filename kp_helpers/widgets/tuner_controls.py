"""A knob as an ipywidget, and a button whose errors are told."""

import math
from collections.abc import Callable

import ipywidgets as widgets

from kp_helpers.widgets.knobs import Choice, Slider

WIDTH = "350px"


def control(knob: Slider | Choice, value) -> widgets.ValueWidget:
    """The slider or the menu of a knob that stands at a value."""
    common = {"description": knob.label, "style": {"description_width": "134px"}}
    common |= {"layout": widgets.Layout(width=WIDTH), "value": value}
    if isinstance(knob, Choice):
        return widgets.Dropdown(options=list(zip(knob.names, knob.options, strict=True)), **common)
    if knob.log:
        ends = {"min": math.log10(knob.low), "max": math.log10(knob.high)}
        return widgets.FloatLogSlider(**ends, step=0.05, readout_format=".3g", **common)
    if knob.whole:
        return widgets.IntSlider(min=int(knob.low), max=int(knob.high), **common)
    limits = {"min": knob.low, "max": knob.high, "step": knob.step}
    digits = ".3f" if knob.step < 0.05 else ".1f"
    return widgets.FloatSlider(**limits, readout_format=digits, **common)


def button(name: str, tooltip: str, width: int, act: Callable[[], object], style: str = "") -> widgets.Button:
    """A button that calls `act`; width in pixels."""
    layout = widgets.Layout(width=f"{width}px")
    made = widgets.Button(description=name, tooltip=tooltip, button_style=style, layout=layout)
    made.on_click(lambda _: act())
    return made
