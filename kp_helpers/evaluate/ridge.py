"""What the U-Net's features give without any token: the nearest neighbour, and ridge fits with few labels and
with many.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kp_helpers.attention import Query
from kp_helpers.attention.shares import upsample
from kp_helpers.config import Profile, Reading, TestTime
from kp_helpers.data import KeypointSample
from kp_helpers.diffusion import Diffusion
from kp_helpers.evaluate import controls
from kp_helpers.evaluate.protocol import Found, draw_run, framed, located
from kp_helpers.heatmaps import gaussian_target
from kp_helpers.reading import noised_views, points_over_views, queries
from kp_helpers.stages.closed_form import in_float64


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
        fitted = torch.einsum("bchw,c->bhw", in_float64(features), self.weights) + self.bias
        return fitted.float().to(features.device)


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
    x, y = in_float64(seen).movedim(1, -1).flatten(0, 2), in_float64(targets).flatten()
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


STRENGTH = 0.25
"""Of the ridge, in pixels of one picture; chosen beforehand, so that it weighs less the more pictures there
are: a twentieth of the mean diagonal with 5 pictures, a thousandth with 250."""


def with_labels(method: str, labels: int) -> str:
    """The name in tables of a method that learns from so many labelled pictures."""
    return f"{method}, {labels} label{'s' * (labels != 1)}"


def ridge_name(labels: int) -> str:
    """The ridge fit's name in tables."""
    return with_labels("ridge", labels)


@torch.no_grad()
def references(
    diffusion: Diffusion,
    base: torch.Tensor,
    sets: tuple[Sequence[KeypointSample], Sequence[KeypointSample]],
    joint: str,
    settings: Profile,
    labels: Sequence[int],
    run: int,
) -> list[Found]:
    """One run of the nearest neighbour and of a ridge fit for each number of labels.

    base: (N, D). sets: training and test samples, of which a run sees what `sweep` shows it, in the same
    views under the same noise, but no mirror image. Fewer labels are the first of more. The nearest neighbour
    has settings.protocol.train_images of them. A ridge fit goes from the queries of the labelled pictures as
    they are to settings.appended's Gaussian at the label; its maximum is the prediction. DataError where the
    training samples show the joint less often than asked for.
    """
    most = settings.protocol.replace(train_images=max(*labels, settings.protocol.train_images))
    train, test_samples = draw_run(*sets, joint, run, most)
    test = framed(test_samples, diffusion.image_size, settings.protocol)
    fits = _fits(diffusion, base, train, joint, settings, labels)
    few = framed(train[: settings.protocol.train_images], diffusion.image_size, settings.protocol)
    known = controls.from_labels(diffusion, base, few, joint, settings.test)
    peak = settings.test.replace(window=0.0, mirror=False)

    def maps_of(latents: torch.Tensor, reading: Reading, _: bool) -> torch.Tensor:
        asked = queries(diffusion, latents, base, reading)
        near = controls.similarity(asked, known.feature, reading.map_size)
        seen = features(asked, reading.map_size)
        return torch.stack([near, *(one.map(seen) for one in fits)], dim=1)

    points = points_over_views(diffusion, test.images, peak, maps_of)
    names = [controls.NEAREST, *map(ridge_name, labels)]
    return [one for n, name in enumerate(names) for one in located(test, points[:, n], joint, name, run)]


def _fits(
    diffusion: Diffusion,
    base: torch.Tensor,
    train: Sequence[KeypointSample],
    joint: str,
    settings: Profile,
    labels: Sequence[int],
) -> list[Fit]:
    """A fit for each number of labels; each picture is seen once, and its pixels are not kept."""
    size, total, found = settings.test.reading.map_size, None, {}
    for number, sample in enumerate(train[: max(labels)]):
        one = framed([sample], diffusion.image_size, settings.protocol)
        asked = _asked(diffusion, base, one.images, number, settings.test)
        target = gaussian_target(one.points(joint), size, settings.appended.sigma)
        own = moments(features(asked, size), target.to(base.device))
        total = own if total is None else total + own
        if number + 1 in labels:
            found[number + 1] = fit(total, STRENGTH * size**2)
    return [found[count] for count in labels]


def _asked(
    diffusion: Diffusion, base: torch.Tensor, image: torch.Tensor, number: int, settings: TestTime
) -> list[Query]:
    """The queries of a training picture as it is, under the noise of its number."""
    latents = noised_views(diffusion, image, [(number, 0)], settings)
    return queries(diffusion, latents, base, settings.reading)
