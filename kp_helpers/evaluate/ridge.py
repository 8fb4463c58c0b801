"""What the U-Net's features give without any token: the nearest neighbour, and ridge fits with few labels and
with many.
"""

from collections.abc import Sequence

import torch

from kp_helpers.attention import linear_features
from kp_helpers.config import Profile
from kp_helpers.data import KeypointSample
from kp_helpers.diffusion import Diffusion
from kp_helpers.evaluate import controls
from kp_helpers.evaluate.protocol import Found, draw_run, framed, located
from kp_helpers.heatmaps import gaussian_target, inside_mask
from kp_helpers.reading import noised_views, points_over_views, queries
from kp_helpers.stages.linear import STRENGTH, Fit, fit, moments_of_picture


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

    def maps_of(latents: torch.Tensor, _: bool) -> torch.Tensor:
        asked = queries(diffusion, latents, base, peak.reading)
        near = controls.similarity(asked, known.feature, peak.reading.map_size)
        seen = linear_features(asked, peak.reading.map_size)
        return torch.stack([near, *(one.map(seen) for one in fits)], dim=1)

    points = points_over_views(diffusion, test.images, peak, maps_of, test.inside)
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
    look, total, found = settings.test.reading, None, {}
    for number, sample in enumerate(train[: max(labels)]):
        one = framed([sample], diffusion.image_size, settings.protocol)
        target = gaussian_target(one.points(joint), look.map_size, settings.appended.sigma)[0]
        mask = inside_mask(one.inside, look.map_size)
        latents = noised_views(diffusion, one.images, [(number, 0)], settings.test)
        inside = None if mask is None else mask[0]
        own = moments_of_picture(diffusion, base, latents, target.to(base.device), look, inside)
        total = own if total is None else total + own
        if number + 1 in labels:
            found[number + 1] = fit(total, STRENGTH * look.map_size**2)
    return [found[count] for count in labels]
