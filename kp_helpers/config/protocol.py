"""Who is shown what: runs, images and framing."""

from typing import Literal

from pydantic import Field

from kp_helpers.config.settings import Count, Index, Settings, Share, Weight


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
