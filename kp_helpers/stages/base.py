"""The unsupervised stage of StableKeypoints: tokens whose maps are blobs that move with the image."""

import torch

from kp_helpers import embeddings, keypoints, losses
from kp_helpers.config import BaseStage
from kp_helpers.diffusion import Diffusion
from kp_helpers.stages.maps import CoupledMaps, TrainingViews


class BaseTokens:
    """N tokens, the whole context (N, D), learned from images alone (Hedlin et al., section 3).

    images: (n, 3, H, W) in [0,1]. inside, about: as for `AppendedTokens`.
    """

    about: dict | None = None

    def __init__(
        self,
        diffusion: Diffusion,
        images: torch.Tensor,
        settings: BaseStage,
        *,
        inside: torch.Tensor | None = None,
    ):
        self.diffusion, self.settings = diffusion, settings
        self.views = TrainingViews(diffusion, images, settings, settings.augmentation_pool, inside)
        self.maps = CoupledMaps(self.views)
        self.data = {"images": images} | ({} if inside is None else {"inside": inside})

    def start(self) -> torch.Tensor:
        """Random tokens (N, D)."""
        tokens, width = self.settings.tokens, self.diffusion.context_width
        start = embeddings.initialise(tokens, width, self.settings.seed, scale=self.settings.init_scale)
        return start.to(self.diffusion.device)

    def losses(self, maps: torch.Tensor, theta: torch.Tensor, image: int) -> dict[str, torch.Tensor]:
        """Both losses of the tokens that this step counts: those nearest to a Gaussian on the plain view, and
        of them those whose maxima lie farthest apart on the transformed view.

        maps: (2, N, S, S), plain and on the view theta (1, 2, 3).
        """
        plain, moved = maps
        sigma, chosen_by = self.settings.sigma_pixels, self.settings.candidates_by
        inside, shown = self.views.inside(image), self.views.inside(image, theta)
        candidates = keypoints.candidates(plain.detach(), self.settings.candidates, sigma, chosen_by, inside)
        chosen = keypoints.furthest_points(moved.detach(), self.settings.keypoints, candidates, shown)
        return {
            "localization": losses.localization_loss(plain[chosen], sigma, inside),
            "equivariance": losses.equivariance_loss(plain[chosen], moved[chosen], theta, inside),
        }

    def result(self, tokens: torch.Tensor) -> torch.Tensor:
        """The learned context (N, D)."""
        return tokens
