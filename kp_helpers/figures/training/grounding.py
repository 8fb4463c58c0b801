"""Grounding: every pixel's attention goes to the tokens that name it, and a limb's to its own limb.

The idea is TokenCompose's (CVPR 2024, arXiv 2312.03626): cross-attention is trained against masks beside the
denoising. Here a pixel's target is a distribution over the tokens, since a sleeve is "shirt" and "left arm".
"""

from typing import NamedTuple

import torch
from torch.nn import functional

from kp_helpers import attention
from kp_helpers.figures.pictures import LIMB
from kp_helpers.figures.scene import LIMBS

KIND_WEIGHTS = (1.0, 2 / 3, 1 / 3)
"""Weight of the words of a segment, of a limb and of a person; where all name a pixel, the first get half."""
SHARES_WEIGHT, LIMBS_WEIGHT = 0.3, 1.0
LIMBS_BELOW = 200
"""Limbs are told apart at noise levels below this: what tells a side, a face or a heel, drowns in more."""
PEOPLE = 2
_LIMBS = PEOPLE * len(LIMBS)


class Named(NamedTuple):
    """Of a batch of B captions and pictures, as `naming.Naming` has them: regions (B, 64, 64), table
    (B, R, 3), names (B, 3, L), all integers.
    """

    regions: torch.Tensor
    table: torch.Tensor
    names: torch.Tensor


class Recorded(torch.nn.Module):
    """A U-Net whose read-out layers also return their attention, mean over the heads; its text tower beside
    it, so that one optimiser holds both.
    """

    def __init__(self, unet, tower):
        super().__init__()
        self.unet, self.tower = unet, tower
        self.recorders = [_Recorder() for _ in attention.readout_layers(unet)]
        for name, recorder in zip(attention.readout_layers(unet), self.recorders, strict=True):
            unet.get_submodule(name).processor = recorder

    def forward(self, noisy, timestep, context, shown):
        """Predicted v (B, 4, h, w), and of each read-out layer its attention (B, pixels, L) float32."""
        predicted = self.unet(noisy, timestep, context, encoder_attention_mask=shown).sample
        return predicted, [recorder.maps for recorder in self.recorders]


class _Recorder:
    """Attention processor that keeps softmax(Q K^T / sqrt(d)) over the tokens, mean over the heads."""

    maps: torch.Tensor | None = None

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, **_):
        split = (attn.heads, -1)
        query = attn.to_q(hidden_states).unflatten(-1, split).transpose(1, 2)
        key = attn.to_k(encoder_hidden_states).unflatten(-1, split).transpose(1, 2)
        value = attn.to_v(encoder_hidden_states).unflatten(-1, split).transpose(1, 2)
        logits = query @ key.transpose(-1, -2) * attn.scale
        if attention_mask is not None:  # (B, 1, L), very low where a token is hidden
            logits = logits + attention_mask[:, None]
        shares = logits.float().softmax(dim=-1)
        self.maps = shares.mean(dim=1)
        out = (shares.to(value.dtype) @ value).transpose(1, 2).flatten(2)
        return attn.to_out[1](attn.to_out[0](out))


def grounding_losses(maps: list[torch.Tensor], named: Named, timestep: torch.Tensor) -> dict:
    """`shares` and `limbs`, each the mean over the read-out layers.

    shares: the cross-entropy -sum_tokens target log A, where each token that names a pixel has its part of
    the target; pixels that nothing names do not count. limbs: -log A_own / (A_own + A_others) on a limb,
    where the others are the same person's that the caption names too, at noise levels below `LIMBS_BELOW`.
    A region weighs as the square root of its area. maps: (B, pixels, L) each, pixels = side^2.
    """
    target = _targets(named)
    own, counted = _limbs(named)
    counted = counted * (timestep < LIMBS_BELOW)[:, None, None]
    cover = {side: _cover(named, side) for side in {int(one.shape[1] ** 0.5) for one in maps}}
    shares, limbs = [], []
    for one in maps:
        covered = cover[int(one.shape[1] ** 0.5)]
        wanted = covered @ target
        shares.append(-(wanted * one.clamp_min(1e-6).log()).sum() / wanted.sum().clamp_min(1e-6))
        mass = (one @ own).clamp_min(1e-6).unflatten(-1, (PEOPLE, -1))
        ratio = (mass / mass.sum(dim=-1, keepdim=True)).flatten(-2)
        weight = covered @ counted
        limbs.append(-(weight * ratio.log()).sum() / weight.sum().clamp_min(1e-6))
    return {"shares": torch.stack(shares).mean(), "limbs": torch.stack(limbs).mean()}


def _targets(named: Named) -> torch.Tensor:
    """(B, R, L): each region's distribution over the tokens, zero where nothing names it."""
    table, names = named.table.transpose(1, 2)[..., None], named.names[:, :, None]
    matches = ((table == names) & (names > 0)).float()
    matches = matches / matches.sum(dim=-1, keepdim=True).clamp_min(1)
    weights = torch.tensor(KIND_WEIGHTS, device=matches.device)[:, None, None]
    target = (matches * weights).sum(dim=1)
    return target / target.sum(dim=-1, keepdim=True).clamp_min(1e-6)


def _limbs(named: Named) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, L, 8) whether a token names each limb; (B, R, 8) whether a region is of it, where the caption names
    it and another one of the same person.
    """
    numbers = torch.arange(1, _LIMBS + 1, device=named.table.device)
    own = (named.names[:, LIMB, :, None] == numbers).float()
    said = own.amax(dim=1)
    several = said.unflatten(-1, (PEOPLE, -1)).sum(dim=-1, keepdim=True) > 1
    several = several.expand(-1, -1, len(LIMBS)).flatten(-2)
    regions = (named.table[..., LIMB, None] == numbers).float()
    return own, regions * (said * several)[:, None]


def _cover(named: Named, side: int) -> torch.Tensor:
    """(B, side^2, R): the share of a map's pixel that a region takes, over the root of the region's area."""
    count = named.table.shape[1]
    numbers = torch.arange(count, device=named.regions.device)[:, None, None]
    masks = (named.regions[:, None] == numbers).float()
    area = masks.sum(dim=(-1, -2), keepdim=True).clamp_min(1)
    shares = functional.avg_pool2d(masks, named.regions.shape[-1] // side)
    return (shares / area.sqrt()).flatten(2).transpose(1, 2)
