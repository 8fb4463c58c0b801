"""Predictions as pictures: what the model was shown, with the found and the labelled point on it."""

from collections.abc import Sequence

import torch

from kp_helpers.evaluate.protocol import Found


def pictured(found: Sequence[Found], size: int) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    """The images (3, size, size) in [0,1] of some predictions, of any joints and runs, and their points.

    Returns them with the predicted and the labelled points, (n, 2) each in [0,1] of the square that the model
    was shown. ValueError for a prediction that does not know its square.
    """
    for one in found:
        if one.square is None:
            raise ValueError(f"{one.sample.name}: its square is not known, expected predictions of `located`")
    images = [one.square.crop(one.sample.image(), size).clamp(0, 1) for one in found]
    predicted = [one.square.to_square(one.point) for one in found]
    true = [one.square.to_square(one.sample.joints[one.joint]) for one in found]
    return images, torch.stack(predicted), torch.stack(true)
