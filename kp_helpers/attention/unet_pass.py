"""One pass of the U-Net that keeps what its read-out layers ask, and stops behind the last of them."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0

from kp_helpers.attention.convolution import FrozenConvolutions
from kp_helpers.attention.layers import AttentionError, checked_layers

PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Query:
    """What one read-out layer asks of the context, from the image alone and already divided by sqrt(d).

    values: (B, heads, d, h, w) float32.
    """

    layer: str
    values: torch.Tensor


def queries(
    unet, latents, timestep, context, *, layers=None, precision: str = "float32", pooled=None
) -> list[Query]:
    """The first half of `attention_maps`: run the U-Net under a context and keep the read-out layers'
    queries.

    Arguments as there. They depend on the context only through the layers that ran before. Kept from a run
    under a frozen context, they serve any number of further tokens at little cost (the read-out mode).
    """
    names = checked_layers(unet, layers)
    context = batched(context, latents, unet)
    found: list[Query] = []
    recorders = {name: _Recorder(name, found, latents.shape[-2:], name == names[-1]) for name in names}
    with (
        out_of_memory_named(),
        frozen(unet),
        processors(unet, recorders),
        _autocast(unet, precision),
        FrozenConvolutions() if latents.device.type == "cpu" else nullcontext(),
    ):
        try:
            unet(
                latents.to(unet.dtype).contiguous(memory_format=torch.channels_last),
                timestep,
                encoder_hidden_states=context.to(unet.dtype),
                added_cond_kwargs=_added_conditions(unet, latents, pooled),
            )
        except _BehindLastLayerError:
            return found
    raise RuntimeError(f"the U-Net ran to its end without passing the read-out layer {names[-1]!r}")


def batched(context: torch.Tensor, like: torch.Tensor, unet) -> torch.Tensor:
    """The context as (B, N, D) on the device of `like`, checked against the U-Net's width."""
    width, batch = unet.config.cross_attention_dim, len(like)
    fits = context.ndim in (2, 3) and context.shape[-1] == width
    if not fits or (context.ndim == 3 and len(context) != batch):
        found = tuple(context.shape)
        raise AttentionError(f"context has shape {found}, expected (N, {width}) or ({batch}, N, {width})")
    if not torch.isfinite(context).all():
        raise AttentionError("context holds NaN or infinite values, expected finite token embeddings")
    return context.expand(batch, -1, -1).to(like.device)


@contextmanager
def frozen(module) -> Iterator[None]:
    """No parameter takes a gradient inside; what takes one outside does so again afterwards."""
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        for parameter in learning:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


@contextmanager
def out_of_memory_named() -> Iterator[None]:
    """Turn a failed allocation on any device into a MemoryError that names the settings to lower."""
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one; the CPU's allocator raises it plainly
        if "out of memory" in str(error) or "allocate memory" in str(error):
            raise MemoryError(
                "not enough memory for the attention maps: lower reading.map_size, the number of tokens or "
                f"the number of images at once ({str(error).splitlines()[0][:200]})"
            ) from error
        raise


class _BehindLastLayerError(Exception):
    """Raised by the last recorder: all that is read is known, the rest of the U-Net need not run."""


class _Recorder:
    """Attention processor of one read-out layer: keeps its queries in float32, then attends as usual."""

    def __init__(self, name: str, found: list[Query], latent_size: tuple[int, int], last: bool):
        self.name, self.found, self.latent_size, self.last = name, found, latent_size, last
        self.attend = AttnProcessor2_0()

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, *args, **kwargs):
        height = _height(self.latent_size, hidden_states.shape[1])
        with torch.autocast(hidden_states.device.type, enabled=False):
            query = attn.to_q(hidden_states.to(attn.to_q.weight.dtype)).float() * attn.scale
        values = query.unflatten(-1, (attn.heads, -1)).permute(0, 2, 3, 1).unflatten(-1, (height, -1))
        self.found.append(Query(self.name, values))
        if self.last:
            raise _BehindLastLayerError
        return self.attend(attn, hidden_states, encoder_hidden_states, *args, **kwargs)


def _height(latent_size: tuple[int, int], pixels: int) -> int:
    """Rows of a layer with so many pixels: each level halves the latent's sides, rounding up."""
    height, width = latent_size
    while height * width > pixels:
        height, width = (height + 1) // 2, (width + 1) // 2
    if height * width != pixels:
        raise AttentionError(f"a layer has {pixels} pixels, expected latents {latent_size} halved some times")
    return height


def _added_conditions(unet, latents: torch.Tensor, pooled: torch.Tensor | None) -> dict | None:
    """What SDXL wants beside the context: the pooled captions, or zeros for none, and a whole picture of the
    latents' size, uncropped.
    """
    kind = unet.config.addition_embed_type
    if kind not in (None, "text_time"):
        raise AttentionError(f"the U-Net wants {kind!r} beside the context, expected nothing or 'text_time'")
    if kind is None and pooled is not None:
        raise AttentionError("pooled was given, expected None for a U-Net without added conditioning")
    if kind is None:
        return None
    height, width = (8 * side for side in latents.shape[-2:])
    sizes = (height, width, 0, 0, height, width)
    joined = unet.config.projection_class_embeddings_input_dim
    shape = (len(latents), joined - len(sizes) * unet.config.addition_time_embed_dim)
    if pooled is not None and pooled.shape != shape:
        raise AttentionError(f"pooled has shape {tuple(pooled.shape)}, expected {shape}")
    like = {"dtype": unet.dtype, "device": latents.device}
    return {
        "text_embeds": torch.zeros(shape, **like) if pooled is None else pooled.to(**like),
        "time_ids": torch.tensor(sizes, **like).expand(len(latents), -1),
    }


def _autocast(unet, precision: str):
    if precision not in PRECISIONS:
        raise AttentionError(f"precision is {precision!r}, expected one of {', '.join(PRECISIONS)}")
    return torch.autocast(unet.device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()


@contextmanager
def processors(unet, replaced: dict) -> Iterator[None]:
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
