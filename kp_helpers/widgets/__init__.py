"""Controls for notebooks: sliders, buttons and clicks, each with a picture where no kernel runs.

What they do is in plain classes that need no page: `TunerSession` under the tuner, `LabelSession` under the
labeler, and `kp_helpers.attend` beside the explorer.
"""

from kp_helpers.widgets.explorer import AttentionExplorer
from kp_helpers.widgets.label_session import LabelSession
from kp_helpers.widgets.labeler import KeypointLabeler
from kp_helpers.widgets.tuner import LossWeightTuner
from kp_helpers.widgets.tuner_session import TunerSession
