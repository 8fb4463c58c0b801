"""What all settings have in common (frozen, strict, wrong ones named in one sentence), how maps are read,
and who is shown what.
"""

import difflib
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

Count = Annotated[int, Field(ge=1)]
Index = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
_as_tuple = BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)
Names = Annotated[tuple[str, ...], _as_tuple]
Levels = Annotated[tuple[Index, ...], Field(min_length=1), _as_tuple]


class ConfigError(ValueError):
    """A setting that cannot be: the sentence names the field, what was found and what was expected."""


class Settings(BaseModel):
    """A frozen group of settings: strict types, no unknown keys, defaults included."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    def __init__(self, **values):
        known = type(self).model_fields
        for key in values:
            if key not in known:
                nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
                raise ConfigError(f"{type(self).__name__} has no setting {key!r}; the nearest is {nearest!r}")
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError(_sentence(type(self).__name__, error)) from None

    def replace(self, **changes) -> Self:
        """The same settings with some changed, checked again."""
        return type(self)(**{**{name: getattr(self, name) for name in type(self).model_fields}, **changes})


def _sentence(group: str, error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    place = ".".join([group, *map(str, first["loc"])])
    return f"{place} is {first['input']!r}: {message}" if first["loc"] else f"{place}: {message}"


class Augmentation(Settings):
    """The random affine view T of the equivariance loss and of test-time averaging; [H]'s ranges."""

    rotation: Weight = Field(15.0, description="largest turn either way, in degrees")
    zoom_min: Positive = Field(0.8, description="smallest scale of the sampling grid; 0.8 is a zoom of 125 %")
    zoom_max: Positive = Field(1.0, description="largest scale of the sampling grid")
    translation: Weight = Field(0.25, description="largest shift in grid units, where the image is 2 wide")

    @model_validator(mode="after")
    def _ordered(self):
        if self.zoom_min > self.zoom_max:
            raise ValueError(f"zoom_min is {self.zoom_min}, expected at most zoom_max, {self.zoom_max}")
        return self


class Reading(Settings):
    """How attention is read from the model; the two stages and the test share it."""

    timestep: Index | None = Field(None, description="noise level; None takes the model's default")
    layers: Names | None = Field(
        None, description="cross-attention layers to read; None takes the first four going up"
    )
    map_size: Count = Field(128, description="side of the maps in pixels")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the U-Net's pass; queries, logits and maps are float32 always"
    )


class TestTime(Settings):
    """How keypoints are read from test images."""

    __test__ = False  # no pytest class, whatever its name begins with

    views: Count = Field(
        1, description="1 reads the plain image; V averages V random views; [S] has 1, [H] 10"
    )
    encode: Literal["views", "once"] = Field(
        "views",
        description="whether the VAE encodes every view, or the picture once, whose latents are then warped",
    )
    mirror: bool = Field(
        False,
        description="whether the mirror image is read too, by what the other side's joint looks like",
    )
    read_size: Count = Field(512, description="side of the map in which the maximum is looked for")
    window: Weight = Field(
        0.0, description="radius of the weighted average in pixels of it; 0 takes the maximum alone"
    )
    augmentation: Augmentation = Field(Augmentation(), description="ranges of the random views")
    reading: Reading = Field(Reading(), description="noise level, layers and map size")
    seed: Index = Field(0, description="noise and views follow from it")


class Protocol(Settings):
    """Who is shown what: the runs of [S], an inference from its percentages being multiples of 1/80."""

    runs: Count = Field(8, description="independent runs, each with its own training and test images")
    train_images: Count = Field(5, description="labelled images a run; [S] has 5 and 20")
    frames_per_sequence: Count = Field(
        1, description="labelled images from one sequence: more of them are less varied"
    )
    test_images: Count = Field(10, description="test images a run")
    base_images: Count = Field(100, description="unlabelled images for the base stage; silent in [S]")
    selected: Count = Field(
        10, description="base tokens that become keypoints; [S] used 1 and expects 10 to be better"
    )
    framing: Literal["person", "letterbox", "squash"] = Field(
        "person", description="the part of a frame that the model sees; silent in [S]"
    )
    margin: Weight = Field(
        0.2, description="room round the person's box at either end, a share of its longer side"
    )
    jitter: Share = Field(
        1.0, description="random shift of that square, a share of the margin; 0 tells more of a joint's place"
    )
    seed: Index = Field(0, description="the choice of images follows from it")
