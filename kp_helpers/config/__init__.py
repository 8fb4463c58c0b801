"""Every setting of the kit, as frozen models with the papers' values as defaults.

[H] is StableKeypoints (arXiv 2312.00065), [S] Schofield's in-context key points. Where [S] is silent the
default is the kit's own choice, and the field says so. A wrong setting is a `ConfigError` whose one sentence
names it. `randomness` has the random numbers that follow from a seed.
"""

from kp_helpers.config.profiles import PRESETS, Change, Profile, profile
from kp_helpers.config.settings import (
    Augmentation,
    ConfigError,
    Count,
    Index,
    Levels,
    Names,
    Positive,
    Protocol,
    Reading,
    Settings,
    Share,
    TestTime,
    Weight,
)
from kp_helpers.config.stages import AppendedStage, BaseStage
