"""Attention maps of a context: where in an image the U-Net's cross-attention looks for each token.

For each read-out layer, logits = Q K^T / sqrt(d) per head, from image features (queries) and context (keys).
They are upsampled bicubically to the map's grid, softmax goes over the tokens, then the mean over heads and
over layers. StableKeypoints upsamples the features instead; projection, product and bicubic interpolation are
all linear, so the maps are the same and the work is a small part of it. What lies behind the last read-out
layer is never run.
"""

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch.utils.checkpoint import checkpoint

READOUT_LAYERS = 4
KEPT_NUMBERS = 2**26  # a quarter of a gigabyte in float32


@dataclass(frozen=True)
class Query:
    """What one read-out layer asks of the context, from the image alone and already divided by sqrt(d).

    values: (B, heads, d, h, w).
    """

    layer: str
    values: torch.Tensor


def cross_attention_layers(unet) -> tuple[str, ...]:
    """Names of all cross-attention modules in the order in which they run: down, middle, up."""
    blocks = {"down_blocks": 0, "mid_block": 1, "up_blocks": 2}
    names = [n for n, m in unet.named_modules() if isinstance(m, Attention) and m.is_cross_attention]
    return tuple(sorted(names, key=lambda name: blocks[name.split(".")[0]]))


def readout_layers(unet) -> tuple[str, ...]:
    """The four layers that are read unless told otherwise: the first four of the up path, as in
    StableKeypoints.
    """
    names = tuple(name for name in cross_attention_layers(unet) if name.startswith("up_blocks."))
    if len(names) < READOUT_LAYERS:
        raise ValueError(
            f"the U-Net's up path has {len(names)} cross-attention layers, expected {READOUT_LAYERS}"
        )
    return names[:READOUT_LAYERS]


def attention_maps(unet, latents, timestep, context, *, layers=None, size: int = 128) -> torch.Tensor:
    """The maps of a context on noised latents, (B, N, size, size); over the N tokens they sum to 1 at each
    pixel.

    unet: a diffusers UNet2DConditionModel. latents: (B, 4, h, w), already noised to `timestep`, an integer.
    context: (N, D), or (B, N, D). layers: names from `cross_attention_layers`, or None for `readout_layers`.
    The maps are differentiable in the context and in nothing else: the U-Net's weights take no gradient.
    """
    asked = queries(unet, latents, timestep, context, layers=layers)
    return maps_from_queries(unet, asked, context, size=size)


def queries(unet, latents, timestep, context, *, layers=None) -> list[Query]:
    """The first half of `attention_maps`: run the U-Net under a context and keep the read-out layers'
    queries.

    Arguments as there. They depend on the context only through the layers that ran before. Kept from a run
    under a frozen context, they serve any number of further tokens at little cost (the read-out mode).
    """
    names = _checked_layers(unet, layers)
    context = _batched(context, latents, unet)
    found: list[Query] = []
    recorders = {name: _Recorder(name, found, latents.shape[-2:], name == names[-1]) for name in names}
    with _frozen(unet), _processors(unet, recorders):
        try:
            unet(latents.to(unet.dtype), timestep, encoder_hidden_states=context.to(unet.dtype))
        except _BehindLastLayerError:
            return found
    raise RuntimeError(f"the U-Net ran to its end without passing the read-out layer {names[-1]!r}")


def maps_from_queries(
    unet, asked: list[Query], context, *, size: int = 128, rivals: list[torch.Tensor] | None = None
) -> torch.Tensor:
    """The second half of `attention_maps`: the maps (B, N, size, size) of a context under kept queries.

    rivals: what `rival_sums` returned for tokens that compete in the softmax without being in `context`.
    Where the maps of all heads would be large, heads are taken one by one and computed again in the backward
    pass, so that memory holds the tokens' maps of one head, never of all.
    """
    heads = sum(query.values.shape[1] for query in asked)
    large = heads * len(asked[0].values) * context.shape[-2] * size**2 > KEPT_NUMBERS
    total = 0.0
    for i, query in enumerate(asked):
        coarse, rival = _coarse_logits(unet, query, context), rivals[i] if rivals else None
        if not large:
            total = total + _heads_mean(coarse, size, rival)
            continue
        for head in range(coarse.shape[1]):
            one = slice(head, head + 1)
            args = (coarse[:, one], size, None if rival is None else rival[:, one])
            total = total + checkpoint(_heads_mean, *args, use_reentrant=False) / coarse.shape[1]
    return total / len(asked)


@torch.no_grad()
def rival_sums(unet, asked: list[Query], context, *, size: int = 128) -> list[torch.Tensor]:
    """log sum_n exp(logits) of a frozen context at each pixel of the map, per layer (B, heads, size, size).

    All that a softmax needs to know of tokens whose own maps nobody reads: with it, the cost of learning M
    further tokens does not grow with the number of the frozen ones.
    """
    found = []
    for query in asked:
        heads = _coarse_logits(unet, query, context).unbind(1)
        found.append(torch.stack([_upsample(coarse, size).logsumexp(dim=1) for coarse in heads], dim=1))
    return found


def logits(unet, latents, timestep, context, *, layers=None) -> dict[str, torch.Tensor]:
    """Q K^T / sqrt(d) of each layer at its own resolution, name -> (B, heads, N, h, w).

    Arguments as for `attention_maps`. Softmax over N gives the maps of one head.
    """
    asked = queries(unet, latents, timestep, context, layers=layers)
    return {query.layer: _coarse_logits(unet, query, context) for query in asked}


def _heads_mean(coarse: torch.Tensor, size: int, rival: torch.Tensor | None) -> torch.Tensor:
    """Softmax over tokens of upsampled logits, mean over heads: (B, heads, N, h, w) -> (B, N, size, size)."""
    fine = _upsample(coarse, size)
    if rival is not None:
        fine = torch.cat([fine, rival[:, :, None]], dim=2)
    maps = fine.softmax(dim=2).mean(dim=1)
    return maps if rival is None else maps[:, :-1]


def _coarse_logits(unet, query: Query, context: torch.Tensor) -> torch.Tensor:
    """Q K^T / sqrt(d) in float32 at the layer's own resolution, (B, heads, N, h, w)."""
    module = unet.get_submodule(query.layer)
    context = _batched(context, query.values, unet).to(module.to_k.weight.dtype)
    with _frozen(module):
        keys = module.to_k(context).unflatten(-1, (module.heads, -1)).transpose(1, 2).float()
    return torch.einsum("bmnd,bmdhw->bmnhw", keys, query.values)


def _upsample(coarse: torch.Tensor, size: int) -> torch.Tensor:
    """Bicubic interpolation (..., h, w) -> (..., size, size) as two matrix products.

    They have a deterministic backward on every device, which F.interpolate does not have.
    """
    rows, columns = (_bicubic(n, size, coarse.dtype, coarse.device) for n in coarse.shape[-2:])
    return rows @ coarse @ columns.T


@lru_cache(maxsize=32)
def _bicubic(source: int, size: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """F.interpolate's bicubic for one axis, corners not aligned, as a matrix (size, source)."""
    with torch.inference_mode(False), torch.no_grad():
        unit = torch.eye(source)[None, :, :, None]  # channel i is the i-th unit vector
        matrix = F.interpolate(unit, size=(size, 1), mode="bicubic", align_corners=False)
        return matrix[0, :, :, 0].T.contiguous().to(device=device, dtype=dtype)


class _BehindLastLayerError(Exception):
    """Raised by the last recorder: all that is read is known, the rest of the U-Net need not run."""


class _Recorder:
    """Attention processor of one read-out layer: keeps its queries, then attends as usual."""

    def __init__(self, name: str, found: list[Query], latent_size: tuple[int, int], last: bool):
        self.name, self.found, self.last = name, found, last
        self.aspect = latent_size[0] / latent_size[1]
        self.attend = AttnProcessor2_0()

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, *args, **kwargs):
        height = round((hidden_states.shape[1] * self.aspect) ** 0.5)
        query = attn.to_q(hidden_states).unflatten(-1, (attn.heads, -1)).permute(0, 2, 3, 1) * attn.scale
        self.found.append(Query(self.name, query.unflatten(-1, (height, -1)).float()))
        if self.last:
            raise _BehindLastLayerError
        return self.attend(attn, hidden_states, encoder_hidden_states, *args, **kwargs)


@contextmanager
def _processors(unet, replaced: dict) -> Iterator[None]:
    """Put attention processors in by module name, and take them out again, also after an exception.

    All other layers use scaled-dot-product attention meanwhile.
    """
    modules = {name: m for name, m in unet.named_modules() if isinstance(m, Attention)}
    before = {name: module.processor for name, module in modules.items()}
    try:
        for name, module in modules.items():
            module.processor = replaced.get(name) or AttnProcessor2_0()
        yield
    finally:
        for name, module in modules.items():
            module.processor = before[name]


@contextmanager
def _frozen(module) -> Iterator[None]:
    """No parameter takes a gradient inside; what takes one outside does so again afterwards."""
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        for parameter in learning:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


def _checked_layers(unet, layers) -> tuple[str, ...]:
    """The layers to read, in the order in which they run; an unknown name is an error that names the
    nearest.
    """
    known = cross_attention_layers(unet)
    for name in layers or ():
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise ValueError(
                f"layers: the U-Net has no cross-attention layer {name!r}; the nearest is {nearest!r}"
            )
    if layers is not None and not layers:
        raise ValueError(
            "layers: an empty list was given, expected at least one cross-attention layer or None"
        )
    chosen = readout_layers(unet) if layers is None else layers
    return tuple(name for name in known if name in chosen)


def _batched(context: torch.Tensor, like: torch.Tensor, unet) -> torch.Tensor:
    """The context as (B, N, D) on the device of `like`, checked against the U-Net's width."""
    width, batch = unet.config.cross_attention_dim, len(like)
    fits = context.ndim in (2, 3) and context.shape[-1] == width
    if not fits or (context.ndim == 3 and len(context) != batch):
        found = tuple(context.shape)
        raise ValueError(f"context has shape {found}, expected (N, {width}) or ({batch}, N, {width})")
    return context.expand(batch, -1, -1).to(like.device)
