"""Where a joint is likely to be, told from the keypoints that the base stage found without labels.

Each keypoint of the base says where the joint is by its mean offset in the labelled pictures; one that sits
on the joint's limb says it more exactly than one in the background.
"""

from dataclasses import dataclass

import torch

from kp_helpers.heatmaps import gaussian_target

LEAST_SD = 0.05
"""The smallest standard deviation that is believed, a fraction of the side: few labels agree by chance."""


@dataclass(frozen=True)
class Prior:
    """What the labels say of a joint's place beside K keypoints.

    offsets: (K, 2), the joint's mean place minus the keypoint's, in fractions of the side. variances: (K,),
    of one axis.
    """

    offsets: torch.Tensor
    variances: torch.Tensor

    def maps(self, keypoints: torch.Tensor, size: int) -> torch.Tensor:
        """A Gaussian of height 1 for each picture, (B, size, size), from its keypoints (B, K, 2) in [0,1].

        Its middle is the mean of what the keypoints say, each weighed by 1 / variance. Its variance is the
        harmonic mean of theirs: keypoints err together, so many are not taken for more exact than one.
        """
        weights = 1 / self.variances
        middle = ((keypoints + self.offsets) * weights[:, None]).sum(dim=1) / weights.sum()
        return gaussian_target(middle, size, float(weights.mean()) ** -0.5)


def prior(keypoints: torch.Tensor, points: torch.Tensor) -> Prior:
    """From keypoints (n, K, 2) and labels (n, 2) of n pictures, as (x, y) in [0,1].

    ValueError for less than two pictures.
    """
    if len(points) < 2:
        raise ValueError(f"prior: {len(points)} labelled pictures, expected at least 2")
    away = points[:, None] - keypoints
    variances = away.var(dim=0).mean(dim=-1).clamp_min(LEAST_SD**2)
    return Prior(away.mean(dim=0), variances)
