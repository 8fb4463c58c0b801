"""A stage whose losses are written by hand: fast, and without any model."""

from types import SimpleNamespace

import torch

from kp_helpers.config import BaseStage

SETTINGS = BaseStage(tokens=3, keypoints=2, candidates=2, steps=12, images_per_step=2, learning_rate=0.1)


class PlainStage:
    """It pulls tokens (3, 4) towards numbers of the image and the step; NaN at step `spoilt_at`."""

    about = None

    def __init__(self, diffusion, settings: BaseStage = SETTINGS, *, spoilt_at: int = -1):
        self.diffusion, self.settings, self.spoilt_at = diffusion, settings, spoilt_at
        self.views = _Views()
        self.data = {"images": torch.zeros(5, 3)}

    def start(self) -> torch.Tensor:
        return torch.zeros(3, 4)

    def maps(self, tokens: torch.Tensor, image: int, view: int) -> torch.Tensor:
        spoilt = float("nan") if view == self.spoilt_at else 1.0
        return spoilt * (tokens - image - torch.arange(12.0).reshape(3, 4) / (view + 1))

    def losses(self, maps: torch.Tensor, theta: torch.Tensor, image: int) -> dict[str, torch.Tensor]:
        square = maps.square().mean()
        return {"localization": square, "equivariance": square / 3}

    def result(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens


class _Views(SimpleNamespace):
    def __len__(self) -> int:
        return 5

    def view(self, step: int) -> int:
        return step

    def theta(self, image: int, view: int) -> torch.Tensor:
        return torch.zeros(1, 2, 3)
