"""The two stages in which tokens are learned."""

from typing import Literal

from pydantic import Field, model_validator

from kp_helpers.config.settings import Augmentation, Count, Index, Positive, Reading, Settings, Weight


class BaseStage(Settings):
    """The unsupervised stage of [H]: tokens whose maps are blobs that move with the image."""

    tokens: Count = Field(500, description="N, how many token embeddings are learned")
    init_scale: Positive = Field(1.0, description="standard deviation of the random start")
    steps: Count = Field(500, description="optimisation steps; [H] takes 10,000 for larger sets")
    images_per_step: Count = Field(4, description="images whose gradients are averaged in one step")
    learning_rate: Positive = Field(5e-3, description="Adam's step size")
    candidates: Count = Field(25, description="tokens kept in a step for being nearest to a Gaussian")
    candidates_by: Literal["gaussian", "entropy", "consistent"] = Field(
        "gaussian", description="how they are chosen; the other two are [H]'s further strategies"
    )
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
    def weights(self) -> dict[str, float]:
        """The factor of each loss by its name."""
        return {"localization": self.localization_weight, "equivariance": self.equivariance_weight}

    @property
    def sigma_pixels(self) -> float:
        """Localization's standard deviation in pixels of a map of `reading.map_size`."""
        return self.sigma * self.reading.map_size / 128


class AppendedStage(Settings):
    """The supervised stage of [S]: further tokens whose map lands on a named joint."""

    base: Literal["learned", "caption"] = Field(
        "learned",
        description="the base: tokens of the base stage, or of an empty caption, which the U-Net knows",
    )
    ratio: Positive = Field(
        0.2, description="r: round(r N) tokens are appended to the base's N, at least one"
    )
    init: Literal["random", "base", "closed_form"] = Field(
        "random",
        description="start: noise, copies of base tokens, a ridge fit of the target; silent in [S]",
    )
    closed_form_ridge: Positive = Field(
        0.1, description="strength of that fit's penalty, a share of the features' mean square"
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
    objective: Literal["mse", "cross_entropy", "oks"] = Field(
        "mse", description="target loss: squared error as in [S], or one of the kit's own in `losses`"
    )
    readout: Literal["sum", "mean", "best", "spatial", "linear"] = Field(
        "sum",
        description="the keypoint's map from the appended tokens' maps, silent in [S]; spatial: their mean "
        "logit's softmax over pixels in the place of tokens; linear: no tokens, a ridge fit of the queries",
    )
    layer_tokens: bool = Field(
        False, description="whether each read-out layer has tokens of its own; read-out mode only"
    )
    mode: Literal["coupled", "readout"] = Field(
        "coupled",
        description="whether appended tokens also condition the U-Net, or only the read-out layers' keys",
    )
    augmentation: Augmentation = Field(Augmentation(), description="ranges of the random view")
    augmentation_pool: Index | None = Field(
        None, description="as in the base stage; None takes 0 in coupled mode and 8 in read-out mode"
    )
    reading: Reading = Field(Reading(), description="noise level, layers and map size")
    seed: Index = Field(0, description="start, noise, views and the order of images follow from it")

    @model_validator(mode="after")
    def _compatible(self):
        if self.readout == "linear" and self.mode == "coupled":
            raise ValueError(
                "readout is 'linear' and mode 'coupled', expected mode 'readout': a fit conditions no U-Net"
            )
        if self.layer_tokens and self.mode == "coupled":
            raise ValueError(
                "layer_tokens is true and mode 'coupled', expected mode 'readout': the U-Net has one context"
            )
        return self

    def appended_tokens(self, base_tokens: int) -> int:
        """M = round(r N), at least one."""
        return max(1, round(self.ratio * base_tokens))

    @property
    def weights(self) -> dict[str, float]:
        """The factor of each loss by its name."""
        return {
            "localization": self.localization_weight,
            "equivariance": self.equivariance_weight,
            "target": self.target_weight,
        }

    @property
    def pool(self) -> int:
        """`augmentation_pool`, or the mode's own: read-out mode saves only where a view is seen again."""
        if self.augmentation_pool is None:
            return 8 if self.mode == "readout" else 0
        return self.augmentation_pool
