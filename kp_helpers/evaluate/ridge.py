"""A ridge fit from the U-Net's features to a joint's map: what the features hold, in closed form.

No token and no softmax stands between the two, and nothing is optimised by steps. So what this finds and
tokens do not is not for want of features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kp_helpers.attention import Query
from kp_helpers.attention.shares import upsample


@dataclass(frozen=True)
class Moments:
    """All that a fit has to know of its pixels, in float64; the moments of two sets of pixels add up.

    pixels: how many. x: (C,), the sum of their features. xx: (C, C), of x x^T. xy: (C,), of x times the
    target. y: the sum of the target.
    """

    pixels: int
    x: torch.Tensor
    xx: torch.Tensor
    xy: torch.Tensor
    y: float

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(*(own + more for own, more in zip(_parts(self), _parts(other), strict=True)))


@dataclass(frozen=True)
class Fit:
    """A linear map from features to a joint's map: weights (C,) and a bias, float64."""

    weights: torch.Tensor
    bias: float

    def map(self, features: torch.Tensor) -> torch.Tensor:
        """w . x + b at every pixel, (B, C, S, S) -> (B, S, S) float32."""
        return (torch.einsum("bchw,c->bhw", features.double(), self.weights) + self.bias).float()


def features(asked: Sequence[Query], size: int) -> torch.Tensor:
    """What tokens are read with, (B, C, size, size): the queries of all heads of the read-out layers, one
    behind the other, upsampled as logits are.
    """
    return torch.cat([upsample(query.values.flatten(1, 2), size) for query in asked], dim=1)


def moments(seen: torch.Tensor, targets: torch.Tensor) -> Moments:
    """Of every pixel of features (B, C, S, S) and target maps (B, S, S)."""
    if targets.shape != (len(seen), *seen.shape[2:]):
        found = f"{tuple(seen.shape)} and {tuple(targets.shape)}"
        raise ValueError(
            f"moments: features and targets have shapes {found}, expected (B, C, S, S), (B, S, S)"
        )
    x, y = seen.double().movedim(1, -1).flatten(0, 2), targets.double().flatten()
    return Moments(len(x), x.sum(dim=0), x.T @ x, x.T @ y, float(y.sum()))


def fit(seen: Moments, alpha: float) -> Fit:
    """The weights v and the bias b that make sum_pixels (y - b - v . z)^2 + alpha |v|^2 smallest.

    z = (x - mean) / standard deviation over the pixels, so that alpha weighs on all features alike; what is
    returned is for x itself. A feature that never varies gets no weight. alpha: above 0.
    """
    if not alpha > 0:
        raise ValueError(f"fit: alpha is {alpha}, expected a number above 0")
    count, mean, level = seen.pixels, seen.x / seen.pixels, seen.y / seen.pixels
    spread = (seen.xx.diagonal() / count - mean.square()).clamp_min(0).sqrt()
    varies = spread > 1e-9 * mean.abs().clamp_min(1e-9)
    scale = torch.where(varies, 1 / spread.where(varies, torch.ones_like(spread)), 0.0)
    gram = scale[:, None] * (seen.xx - count * torch.outer(mean, mean)) * scale
    gram.diagonal().add_(alpha)
    weights = scale * torch.linalg.solve(gram, scale * (seen.xy - count * level * mean))
    return Fit(weights, level - float(weights @ mean))


def _parts(moments: Moments) -> tuple:
    return moments.pixels, moments.x, moments.xx, moments.xy, moments.y
