"""Every setting of the kit, as frozen models with the papers' values as defaults.

[H] is StableKeypoints (arXiv 2312.00065), [S] Schofield's in-context key points. Where [S] is silent the
default is the kit's own choice, and the field says so. A wrong setting is a `ConfigError` whose one sentence
names it.
"""

import difflib
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

Count = Annotated[int, Field(ge=1)]
Index = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Names = Annotated[tuple[str, ...], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else v)]


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


class BaseStage(Settings):
    """The unsupervised stage of [H]: tokens whose maps are blobs that move with the image."""

    tokens: Count = Field(500, description="N, how many token embeddings are learned")
    init_scale: Positive = Field(1.0, description="standard deviation of the random start")
    steps: Count = Field(500, description="optimisation steps; [H] takes 10,000 for larger sets")
    images_per_step: Count = Field(4, description="images whose gradients are averaged in one step")
    learning_rate: Positive = Field(5e-3, description="Adam's step size")
    candidates: Count = Field(25, description="tokens kept in a step for being nearest to a Gaussian")
    keypoints: Count = Field(
        10, description="of the candidates, those kept for lying far apart; these are optimised"
    )
    sigma: Positive = Field(2.0, description="localization's standard deviation, in pixels of a map of 128")
    localization_weight: Weight = Field(100.0, description="weight of the localization loss")
    equivariance_weight: Weight = Field(1000.0, description="weight of the equivariance loss")
    augmentation: Augmentation = Field(Augmentation(), description="ranges of the random view")
    augmentation_pool: Index = Field(
        0, description="views of an image, each with its noise, encoded once and kept; 0: a new one each step"
    )
    reading: Reading = Field(Reading(), description="noise level, layers and map size")
    seed: Index = Field(0, description="start, noise, views and the order of images follow from it")

    @model_validator(mode="after")
    def _enough_tokens(self):
        if not self.keypoints <= self.candidates <= self.tokens:
            found = f"{self.keypoints}, {self.candidates}, {self.tokens}"
            raise ValueError(f"keypoints, candidates, tokens are {found}, expected an ascending order")
        return self

    @property
    def sigma_pixels(self) -> float:
        """Localization's standard deviation in pixels of a map of `reading.map_size`."""
        return self.sigma * self.reading.map_size / 128


class AppendedStage(Settings):
    """The supervised stage of [S]: further tokens whose map lands on a named joint."""

    ratio: Positive = Field(
        0.2, description="r: round(r N) tokens are appended to the base's N, at least one"
    )
    init: Literal["random", "base"] = Field(
        "random", description="start: noise, or copies of base tokens; silent in [S]"
    )
    init_scale: Positive = Field(1.0, description="standard deviation of a random start; silent in [S]")
    steps: Count = Field(100, description="optimisation steps")
    images_per_step: Count = Field(
        4, description="images whose gradients are averaged in one step; silent in [S]"
    )
    learning_rate: Positive = Field(0.1, description="Adam's step size; silent in [S], chosen by trial")
    localization_weight: Weight = Field(1.0, description="weight of the localization loss; [S] has 1 : 1 : 5")
    equivariance_weight: Weight = Field(1.0, description="weight of the equivariance loss")
    target_weight: Weight = Field(5.0, description="weight of the target loss")
    target: Literal["gaussian", "cauchy"] = Field(
        "gaussian", description="shape of the target at the labelled joint"
    )
    sigma: Positive = Field(0.05, description="the target's width, a fraction of each image dimension")
    localization_sigma: Positive = Field(
        0.05, description="localization's width, a fraction too; silent in [S]"
    )
    objective: Literal["mse", "cross_entropy"] = Field(
        "mse", description="target loss: squared error as in [S], or the kit's cross-entropy over pixels"
    )
    readout: Literal["sum", "mean", "best"] = Field(
        "sum", description="the keypoint's map from the appended tokens' maps; silent in [S]"
    )
    mode: Literal["coupled", "readout"] = Field(
        "coupled",
        description="whether appended tokens also condition the U-Net, or only the read-out layers' keys",
    )
    kept_precision: Literal["float32", "float16"] = Field(
        "float32", description="of what read-out mode keeps of a view, in memory and on disk"
    )
    augmentation: Augmentation = Field(Augmentation(), description="ranges of the random view")
    augmentation_pool: Index | None = Field(
        None, description="as in the base stage; None takes 0 in coupled mode and 8 in read-out mode"
    )
    reading: Reading = Field(Reading(), description="noise level, layers and map size")
    seed: Index = Field(0, description="start, noise, views and the order of images follow from it")

    def appended_tokens(self, base_tokens: int) -> int:
        """M = round(r N), at least one."""
        return max(1, round(self.ratio * base_tokens))

    @property
    def pool(self) -> int:
        """`augmentation_pool`, or the mode's own: read-out mode saves only where a view is seen again."""
        if self.augmentation_pool is None:
            return 8 if self.mode == "readout" else 0
        return self.augmentation_pool


class TestTime(Settings):
    """How keypoints are read from test images."""

    __test__ = False  # no pytest class, whatever its name begins with

    views: Count = Field(
        1, description="1 reads the plain image; V averages V random views; [S] has 1, [H] 10"
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


class Profile(Settings):
    """All settings of a run of the notebooks, from quick to the papers' own."""

    base: BaseStage = Field(BaseStage(), description="the unsupervised stage")
    appended: AppendedStage = Field(AppendedStage(), description="the supervised stage")
    test: TestTime = Field(TestTime(), description="reading keypoints from test images")
    protocol: Protocol = Field(Protocol(), description="runs and images")


def profile(name: str, *, seed: int = 0) -> Profile:
    """The settings of a named profile: "smoke" for a few steps, "quick" for minutes, "paper" for the papers'
    own.

    seed: goes into every group that draws random numbers.
    """
    if name not in _PROFILES:
        raise ConfigError(f"profile is {name!r}, expected one of {', '.join(_PROFILES)}")
    groups = {"base": BaseStage, "appended": AppendedStage, "test": TestTime, "protocol": Protocol}
    return Profile(**{g: kind(**_PROFILES[name].get(g, {}), seed=seed) for g, kind in groups.items()})


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
}
