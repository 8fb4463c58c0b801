"""How well the places of a mask answer to a noun: logits of queries and keys, averaged over the mask."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from kp_helpers.attention.layers import readout_layers
from kp_helpers.attention.unet_pass import Query


@torch.no_grad()
def noun_keys(unet, nouns: torch.Tensor) -> dict[str, torch.Tensor]:
    """The keys (..., heads, d) of tokens (..., D) in each read-out layer."""
    keys = {}
    for layer in readout_layers(unet):
        module = unet.get_submodule(layer)
        keys[layer] = module.to_k(nouns).unflatten(-1, (module.heads, -1))
    return keys


def mask_logits(queries: Sequence[Query], masks: torch.Tensor, keys: dict[str, torch.Tensor]) -> torch.Tensor:
    """Logits (Q, ...) of tokens: mean over each mask and over heads, sum over layers.

    queries: of one picture. masks: (Q, H, W) bool. keys: of `noun_keys`.
    """
    total = 0
    for query in queries:
        values = query.values[0].float()
        inside = F.adaptive_avg_pool2d(masks[:, None].float(), values.shape[-2:])[:, 0]
        inside = inside / inside.sum((1, 2), keepdim=True).clamp(min=1e-6)
        pooled = torch.einsum("qhw,mdhw->qmd", inside, values)
        total = total + torch.einsum("qmd,...md->q...", pooled, keys[query.layer].float()) / len(values)
    return total
