"""Controls for notebooks: sliders, buttons and clicks, each with a still picture where no kernel runs.

What they do is in plain classes that need no page: `TunerSession` behind the tuner, `LabelSession` behind the
labeler, `AttentionProbe` behind the explorer.
"""

from kp_helpers.widgets.explorer import AttentionExplorer
from kp_helpers.widgets.label_file import LabelFile, LabelsChangedError, Mark
from kp_helpers.widgets.label_session import LabelSession
from kp_helpers.widgets.labeler import KeypointLabeler
from kp_helpers.widgets.probe import AttentionProbe, ProbeError
from kp_helpers.widgets.tuned_run import TunedRun, TunerError
from kp_helpers.widgets.tuner import LossWeightTuner
from kp_helpers.widgets.tuner_session import TunerSession

__all__ = [
    "AttentionExplorer",
    "AttentionProbe",
    "KeypointLabeler",
    "LabelFile",
    "LabelSession",
    "LabelsChangedError",
    "LossWeightTuner",
    "Mark",
    "ProbeError",
    "TunedRun",
    "TunerError",
    "TunerSession",
]
