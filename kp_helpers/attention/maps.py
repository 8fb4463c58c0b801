"""From queries and a context to maps: logits at a layer's own resolution, upsampled, softmax over tokens.

`plain_maps` is the definition; `shares` and `summed` hold its faster substitutes.
"""

from collections.abc import Sequence

import torch

from kp_helpers.attention.layers import AttentionError
from kp_helpers.attention.shares import mean_shares, upsample
from kp_helpers.attention.summed import summed_share
from kp_helpers.attention.unet_pass import Query, batched, frozen, out_of_memory_named, queries


def attention_maps(
    unet,
    latents,
    timestep,
    context,
    *,
    layers=None,
    size: int | tuple[int, int] = 128,
    tokens: Sequence[int] | slice | torch.Tensor | None = None,
    precision: str = "float32",
    pooled=None,
) -> torch.Tensor:
    """The maps of a context on noised latents, (B, N, size, size); over the N tokens they sum to 1 at each
    pixel.

    unet: a diffusers UNet2DConditionModel. latents: (B, C, h, w), already noised to `timestep`, an integer;
    any height and width that the U-Net takes. context: (N, D), or (B, N, D). layers: names from
    `cross_attention_layers`, or None for `readout_layers`. size: of a side, or (height, width). tokens: those
    whose maps are wanted, (B, T, size, size); the others compete all the same. precision: "bfloat16" runs the
    U-Net under autocast; queries, logits and maps are float32 always. pooled: SDXL's pooled captions (B, P),
    from `Diffusion.pool_text`; zeros, as for an empty caption, unless given.
    The maps are differentiable in the context and in nothing else: the U-Net's weights take no gradient.
    """
    asked = queries(unet, latents, timestep, context, layers=layers, precision=precision, pooled=pooled)
    return maps_from_queries(unet, asked, context, size=size, tokens=tokens)


def plain_maps(
    coarse: Sequence[torch.Tensor],
    size: int | tuple[int, int],
    rivals: Sequence[torch.Tensor] | None = None,
) -> torch.Tensor:
    """What a map is: softmax over tokens of the upsampled logits, mean over heads and layers, (B, N, H, W).

    Arguments as for `shares.mean_shares`, its substitute with less memory; `summed.summed_share` is that of
    the sum over tokens. Every head's maps are held here, so learning and reading take the substitutes, and
    the tests hold those to this.
    """
    count = coarse[0].shape[2]
    maps = []
    for layer, logits in enumerate(coarse):
        fine = upsample(logits, size)
        if rivals is not None:  # their log-sum-exp stands for them as one more token
            fine = torch.cat([fine, rivals[layer][:, :, None]], dim=2)
        shares = fine.softmax(dim=2)  # softmax over tokens
        maps.append(shares[:, :, :count].mean(dim=1))
    return torch.stack(maps).mean(dim=0)


def maps_from_queries(
    unet,
    asked: list[Query],
    context,
    *,
    size: int | tuple[int, int] = 128,
    rivals: list[torch.Tensor] | None = None,
    tokens: Sequence[int] | slice | torch.Tensor | None = None,
    head: int | None = None,
) -> torch.Tensor:
    """The second half of `attention_maps`: the maps (B, N, size, size) of a context under kept queries.

    context: as for `attention_maps`, or (N, L D), (B, N, L D), tokens of their own for each of L layers.
    rivals: what `rival_sums` returned for tokens that compete in the softmax without being in `context`.
    head: the one that is read, from 0, where every layer has it; without `rivals`. None takes the mean.
    Memory holds the maps that are returned and a few rows of one image's heads, never all heads' maps.
    """
    coarse = _logits_of_layers(unet, asked, context)
    if head is not None:
        coarse = [own[:, [head]] for own in coarse]
    with out_of_memory_named():
        return mean_shares(coarse, size, rivals, tokens)


def summed_map(
    unet, asked: list[Query], context, *, rivals: list[torch.Tensor], size: int | tuple[int, int] = 128
) -> torch.Tensor:
    """The maps of `maps_from_queries` summed over the tokens of the context, (B, 1, size, size)."""
    coarse = _logits_of_layers(unet, asked, context)
    with out_of_memory_named():
        return summed_share(coarse, (size, size) if isinstance(size, int) else size, rivals)


def spatial_maps(unet, asked: list[Query], context, *, size: int | tuple[int, int] = 128) -> torch.Tensor:
    """Softmax over *pixels* of the mean logit, (B, 1, size, size), which sums to 1.

    The mean goes over heads, layers and the tokens of the context, as for `maps_from_queries`. No token
    competes with another, so what the base says of a pixel takes nothing away. The mean logit is linear in
    the tokens.
    """
    means = [logits.mean(dim=(1, 2))[:, None] for logits in _logits_of_layers(unet, asked, context)]
    logits = torch.stack([upsample(mean, size) for mean in means]).mean(dim=0)
    return logits.flatten(-2).softmax(dim=-1).view_as(logits)


@torch.no_grad()
def rival_sums(unet, asked: list[Query], context, *, size: int | tuple[int, int] = 128) -> list[torch.Tensor]:
    """log sum_n exp(logits) of a frozen context at each pixel of the map, per layer (B, heads, size, size).

    All that a softmax needs to know of tokens whose own maps nobody reads: with it, the cost of learning M
    further tokens does not grow with the number of the frozen ones.
    """
    context = batched(context, asked[0].values, unet)
    found = []
    for query in asked:
        heads = _coarse_logits(unet, query, context).unbind(1)
        found.append(torch.stack([upsample(coarse, size).logsumexp(dim=1) for coarse in heads], dim=1))
    return found


def logits(unet, latents, timestep, context, *, layers=None, pooled=None) -> dict[str, torch.Tensor]:
    """Q K^T / sqrt(d) of each layer at its own resolution, name -> (B, heads, N, h, w).

    Arguments as for `attention_maps`. Softmax over N gives the maps of one head.
    """
    asked = queries(unet, latents, timestep, context, layers=layers, pooled=pooled)
    context = batched(context, latents, unet)
    return {query.layer: _coarse_logits(unet, query, context) for query in asked}


def _logits_of_layers(unet, asked: list[Query], context: torch.Tensor) -> list[torch.Tensor]:
    """`_coarse_logits` of each layer: of the same context, or of its own part of a wide one."""
    wide = context.shape[-1] == len(asked) * unet.config.cross_attention_dim
    parts = context.chunk(len(asked), dim=-1) if wide else [context]
    checked = [batched(part, asked[0].values, unet) for part in parts]
    every = checked if wide else checked * len(asked)
    return [_coarse_logits(unet, query, own) for query, own in zip(asked, every, strict=True)]


def _coarse_logits(unet, query: Query, context: torch.Tensor) -> torch.Tensor:
    """Q K^T / sqrt(d) in float32 at the layer's own resolution, (B, heads, N, h, w); context: (B, N, D)."""
    module = unet.get_submodule(query.layer)
    with frozen(module):
        keys = module.to_k(context.to(module.to_k.weight.dtype)).unflatten(-1, (module.heads, -1))
    return torch.einsum("bnmd,bmdhw->bmnhw", keys.float(), query.values)


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
