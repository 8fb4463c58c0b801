"""The settings of whole runs by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from pydantic import Field

from kp_helpers.config.settings import ConfigError, Protocol, Reading, Settings, TestTime
from kp_helpers.config.stages import AppendedStage, BaseStage


class Profile(Settings):
    """All settings of a run of the notebooks, from quick to the papers' own."""

    base: BaseStage = Field(BaseStage(), description="the unsupervised stage")
    appended: AppendedStage = Field(AppendedStage(), description="the supervised stage")
    test: TestTime = Field(TestTime(), description="reading keypoints from test images")
    protocol: Protocol = Field(Protocol(), description="runs and images")

    def read_alike(self, **changes) -> Self:
        """The profile with the same changes in the readings of learning and test."""
        groups = {"appended": self.appended, "test": self.test}
        return self.replace(
            **{
                name: group.replace(reading=group.reading.replace(**changes))
                for name, group in groups.items()
            }
        )


@dataclass(frozen=True)
class Change:
    """A change of a profile: the fields of each group that differ, in the one form that all have.

    Presets, variants, ideas and a notebook's parameters are changes. reading: of the readings in `appended`
    and `test` alike.
    """

    appended: Mapping = field(default_factory=dict)
    test: Mapping = field(default_factory=dict)
    protocol: Mapping = field(default_factory=dict)
    reading: Mapping = field(default_factory=dict)
    base: Mapping = field(default_factory=dict)

    @classmethod
    def of_parameters(cls, **groups: Mapping) -> Self:
        """From parameters of a notebook, in which 0 and an empty text mean "what the profile says"."""
        return cls(**{group: {n: v for n, v in fields.items() if v} for group, fields in groups.items()})

    def applied(self, profile: Profile) -> Profile:
        """The profile with the changes; a ConfigError for one that cannot be."""
        groups = ("appended", "test", "protocol", "base")
        changed = {group: getattr(profile, group).replace(**getattr(self, group)) for group in groups}
        return profile.replace(**changed).read_alike(**self.reading)


def profile(name: str, *, seed: int = 0, preset: str = "paper") -> Profile:
    """The settings of a named profile: "smoke" for a few steps, "quick" for minutes, "paper" for the papers'
    own, "paper-10000" with the 10,000 steps that StableKeypoints takes for larger sets.

    seed: goes into every group that draws random numbers. preset: what is changed in the profile, "paper" for
    nothing, "best" for the kit's own recipe.
    """
    for what, value, known in (("profile", name, _PROFILES), ("preset", preset, PRESETS)):
        if value not in known:
            raise ConfigError(f"{what} is {value!r}, expected one of {', '.join(known)}")
    groups = {"base": BaseStage, "appended": AppendedStage, "test": TestTime, "protocol": Protocol}
    named = {group: kind(**_PROFILES[name].get(group, {}), seed=seed) for group, kind in groups.items()}
    return PRESETS[preset].applied(Profile(**named))


_SMALL = Reading(map_size=64)
_PROFILES: dict[str, dict[str, dict]] = {
    "smoke": {
        "base": {"tokens": 30, "steps": 3, "images_per_step": 1, "reading": _SMALL},
        "appended": {"steps": 4, "images_per_step": 1, "reading": _SMALL},
        "test": {"read_size": 128, "reading": _SMALL},
        "protocol": {"runs": 2, "train_images": 2, "test_images": 2, "base_images": 4},
    },
    "quick": {
        "base": {"tokens": 100, "steps": 120, "images_per_step": 2, "reading": _SMALL},
        "appended": {"mode": "readout", "augmentation_pool": 4, "images_per_step": 2, "reading": _SMALL},
        "test": {"reading": _SMALL},
        "protocol": {"base_images": 40},
    },
    "paper": {},
    "paper-10000": {"base": {"steps": 10_000}},
}
PRESETS = {
    "paper": Change(),
    "best": Change(
        appended={"mode": "readout", "readout": "linear", "base": "caption"}, test={"mirror": True}
    ),
}
"""What a preset changes over any profile; 10_beyond_the_paper measures them."""
