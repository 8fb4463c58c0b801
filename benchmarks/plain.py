"""The plain formulation of the attention maps, written from the papers: the yardstick, and the tests' oracle.

The whole U-Net runs with ordinary attention. At the read-out layers the image features are upsampled
bicubically, the query projection and the product with the keys are done at every pixel of the map, softmax
goes over the tokens, then the mean over heads and over layers.
"""

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import AttnProcessor


def attention_maps(
    unet,
    latents,
    timestep,
    context,
    *,
    layers,
    size: int | tuple[int, int] = 128,
    conditions: dict | None = None,
) -> torch.Tensor:
    """Maps (B, N, H, W) of a context (N, D) on noised latents (B, C, h, w).

    conditions: diffusers' `added_cond_kwargs`, for SDXL.
    """
    features: dict[str, torch.Tensor] = {}
    before = unet.attn_processors
    unet.set_attn_processor(AttnProcessor())
    hooks = [
        unet.get_submodule(name).register_forward_pre_hook(
            lambda _, args, kwargs, name=name: features.__setitem__(name, args[0]), with_kwargs=True
        )
        for name in layers
    ]
    both = context.expand(len(latents), -1, -1)
    unet(latents, timestep, encoder_hidden_states=both, added_cond_kwargs=conditions)
    for hook in hooks:
        hook.remove()
    unet.set_attn_processor(before)
    maps = [
        _layer_maps(unet.get_submodule(name), features[name], context, latents.shape[-2:], size)
        for name in layers
    ]
    return torch.stack(maps).mean(dim=0)


def _layer_maps(attn, features, context, latent_size, size) -> torch.Tensor:
    """Maps (B, N, H, W) of one layer from its features (B, h w, C)."""
    height, width = size if isinstance(size, tuple) else (size, size)
    rows = round((features.shape[1] * latent_size[0] / latent_size[1]) ** 0.5)
    grid = features.transpose(1, 2).unflatten(2, (rows, -1))
    grid = F.interpolate(grid, size=(height, width), mode="bicubic", align_corners=False)
    query = attn.to_q(grid.flatten(2).transpose(1, 2)).unflatten(2, (attn.heads, -1))
    key = attn.to_k(context).unflatten(1, (attn.heads, -1))
    logits = torch.einsum("bpmd,nmd->bmnp", query, key) * key.shape[-1] ** -0.5
    return logits.softmax(dim=2).mean(dim=1).unflatten(2, (height, width))
