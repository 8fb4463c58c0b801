"""A linear map of the read-out queries: what a keypoint is read with where no token stands for it."""

from collections.abc import Sequence

import torch

from kp_helpers.attention.layers import AttentionError
from kp_helpers.attention.shares import upsample
from kp_helpers.attention.unet_pass import Query


def linear_features(asked: Sequence[Query], size: int) -> torch.Tensor:
    """What tokens are read with, (B, C, size, size): the queries of all heads of the read-out layers, one
    behind the other, upsampled as logits are.
    """
    return torch.cat([upsample(query.values.flatten(1, 2), size) for query in asked], dim=1)


def linear_map(asked: Sequence[Query], weights: torch.Tensor, size: int) -> torch.Tensor:
    """max(0, w . x + b) at every pixel of the features x of `linear_features`, (B, K, size, size).

    weights: (K, C + 1), the bias b last. The product comes before the upsampling, which is linear too.
    """
    channels = [query.values.shape[1] * query.values.shape[2] for query in asked]
    if weights.shape[1] != sum(channels) + 1:
        found = f"weights have shape {tuple(weights.shape)} for {sum(channels)} channels of queries"
        raise AttentionError(f"linear_map: {found}, expected (K, {sum(channels) + 1})")
    parts = weights[:, :-1].split(channels, dim=1)
    coarse = [
        torch.einsum("kc,bchw->bkhw", part, query.values.flatten(1, 2))
        for part, query in zip(parts, asked, strict=True)
    ]
    summed = sum(upsample(part, size) for part in coarse)
    return (summed + weights[:, -1, None, None]).clamp_min(0)
