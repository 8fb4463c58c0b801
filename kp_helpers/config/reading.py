"""How attention is read: the noise level, layers and map size, random views, and the test."""

from typing import Literal

from pydantic import Field, model_validator

from kp_helpers.config.settings import Count, Index, Names, Positive, Settings, Weight


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
