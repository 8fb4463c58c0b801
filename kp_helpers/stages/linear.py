"""A keypoint without optimisation: a ridge fit from the read-out queries to the target map.

A token reaches a layer's queries q(p) only through the key projections, and its map only through a softmax
that it shares with all others. A linear fit weighs every channel of every head for itself. It has one
solution, in closed form, and what a mirrored picture shows is a second one, of the other side.
"""

from dataclasses import dataclass

import torch

from kp_helpers import reading
from kp_helpers.attention import linear_features
from kp_helpers.config import AppendedStage, Reading, randomness
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import Appended
from kp_helpers.heatmaps import TARGETS, inside_mask, pixels_inside
from kp_helpers.stages.maps import checked_points
from kp_helpers.stages.starts import base_tokens, in_float64

STRENGTH = 0.25
"""Of the penalty, in pixels of one picture: a twentieth of the mean diagonal with 5 pictures, a thousandth
with 250."""


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
        return Moments(
            self.pixels + other.pixels,
            self.x + other.x,
            self.xx + other.xx,
            self.xy + other.xy,
            self.y + other.y,
        )


@dataclass(frozen=True)
class Fit:
    """A linear map from features to a joint's map: weights (C,) and a bias, float64."""

    weights: torch.Tensor
    bias: float

    def map(self, features: torch.Tensor) -> torch.Tensor:
        """w . x + b at every pixel, (B, C, S, S) -> (B, S, S) float32."""
        fitted = torch.einsum("bchw,c->bhw", in_float64(features), self.weights) + self.bias
        return fitted.float().to(features.device)


def moments(seen: torch.Tensor, targets: torch.Tensor, inside: torch.Tensor | None = None) -> Moments:
    """Of every pixel of features (B, C, S, S) and target maps (B, S, S). inside: which count, bool (S, S)."""
    if targets.shape != (len(seen), *seen.shape[2:]):
        found = f"{tuple(seen.shape)} and {tuple(targets.shape)}"
        raise ValueError(
            f"moments: features and targets have shapes {found}, expected (B, C, S, S), (B, S, S)"
        )
    x = pixels_inside(in_float64(seen), inside).movedim(1, -1).flatten(0, 1)
    y = pixels_inside(in_float64(targets), inside).flatten()
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


@torch.no_grad()
def linear_fit(
    diffusion: Diffusion,
    base: torch.Tensor,
    images: torch.Tensor,
    points: torch.Tensor,
    settings: AppendedStage,
    inside: torch.Tensor | None = None,
) -> Appended:
    """The keypoint of labelled pictures whose `tokens` are the weights and bias (1, C + 1) of a ridge fit.

    base: (N, D), what conditions the U-Net unless settings.base is "caption". images: (n, 3, H, W) in [0,1];
    points: (n, 2) as (x, y) in [0,1]; inside: (n, 4), as for `AppendedTokens`.
    `rivals` are the fit of the mirrored pictures, in which the joint looks like the other side's; reading a
    mirrored picture with them finds the joint a second time (`TestTime.mirror`).
    """
    points, base = checked_points(points, len(images)), base_tokens(diffusion, base, settings)
    sides, masks = [], inside_mask(inside, settings.reading.map_size)
    if masks is None:
        masks = torch.ones(len(images), *[settings.reading.map_size] * 2, dtype=torch.bool)
    plain, other = (images, points, masks), (images.flip(-1), mirrored(points), masks.flip(-1))
    for shown, labels, counted in (plain, other):
        found = fit(_moments(diffusion, base, shown, labels, settings, counted), _alpha(settings))
        sides.append(torch.cat([found.weights, found.weights.new_tensor([found.bias])])[None].float())
    own, other = (side.to(base) for side in sides)
    return Appended(base, own, readout="linear", mode="readout", rivals=other)


def mirrored(points: torch.Tensor) -> torch.Tensor:
    """Where the mirrored picture shows points (..., 2): (1 - x, y)."""
    return torch.stack([1 - points[..., 0], points[..., 1]], dim=-1)


def _alpha(settings: AppendedStage) -> float:
    return STRENGTH * settings.reading.map_size**2


def _moments(
    diffusion: Diffusion,
    base: torch.Tensor,
    images: torch.Tensor,
    points: torch.Tensor,
    settings: AppendedStage,
    inside: torch.Tensor,
) -> Moments:
    """Of the labelled pictures as they are, each under noise of its own."""
    size, timestep = settings.reading.map_size, reading.timestep_of(diffusion, settings.reading)
    targets = TARGETS[settings.target](points, size, settings.sigma).to(diffusion.device)
    total = None
    for number, target in enumerate(targets):
        noise = randomness.generator(settings.seed, "noise", 0, number)
        latents = diffusion.add_noise(diffusion.encode_image(images[number][None]), timestep, noise)
        own = moments_of_picture(diffusion, base, latents, target, settings.reading, inside[number])
        total = own if total is None else total + own
    return total


def moments_of_picture(
    diffusion: Diffusion,
    base: torch.Tensor,
    latents: torch.Tensor,
    target: torch.Tensor,
    settings: Reading,
    inside: torch.Tensor | None,
) -> Moments:
    """Of one picture's noised latents (1, C, h, w) under a base (N, D), and its target map (S, S); inside: as
    for `moments`.
    """
    asked = reading.queries(diffusion, latents, base, settings)
    return moments(linear_features(asked, settings.map_size), target[None], inside)
