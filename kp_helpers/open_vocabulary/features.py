"""The frozen half of ODISE: one pass of the U-Net under an implicit caption, equation (3), as a pyramid."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from kp_helpers.diffusion import SHIPPED, Diffusion, weights
from kp_helpers.diffusion.vision import Clip, load_clip

NOISE_SEED = 42
"""Of the noise that all pictures share, as in ODISE."""
LEVELS = 3
"""Of the U-Net's, finest first; coarser ones are resized to the last of them."""
_FASTER = 10.0
_HUB_CLIP = "openai/clip-vit-large-patch14"


@dataclass(frozen=True)
class Frozen:
    """What never learns: the diffusion model, a CLIP, the noise level of the pass, and the context (1, L, D)
    of the empty caption. The diffusion model may be on a GPU; all that is taken from it is on the CPU, as
    CLIP and the heads are.
    """

    model: Diffusion
    clip: Clip
    level: int
    empty: torch.Tensor

    @cached_property
    def key(self) -> str:
        """Names both networks: a head fits no other U-Net, and no other CLIP's space of texts."""
        hashes = (self.model.fingerprint, weights.fingerprint(self.clip.network.state_dict()))
        return "-".join(one[:8] for one in hashes)

    def noised(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents with the same noise in every picture."""
        noise = torch.randn((1, *latents.shape[1:]), generator=torch.Generator().manual_seed(NOISE_SEED))
        return self.model.add_noise(latents, self.level, noise=noise.expand(len(latents), -1, -1, -1))


def freeze(model: Diffusion, level: int = 0, clip: str | Path = "") -> Frozen:
    """`model` with a CLIP, a folder or hub id; else its own: the shipped one, that in its folder `clip`, or
    CLIP ViT-L/14 from the hub.
    """
    own = model.folder / "clip"
    name = "figures" if model.name in SHIPPED else own if own.is_dir() else _HUB_CLIP
    return Frozen(model, load_clip(clip or name), level, model.encode_text([""]).float().cpu())


def as_images(pictures: list[np.ndarray]) -> torch.Tensor:
    """(B, 3, H, W) in [0,1] of pictures (H, W, 3) uint8."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255


class ImplicitCaptioner(nn.Module):
    """MLP(V(x)) of equation (3): CLIP's embedding e of a picture in the place of its caption.

    context = empty + tanh(10 a) (W e + p), and a vector beside the time embedding likewise. The strength a is
    zero at first, so that it begins as the empty caption; the 10, ours, lets it grow in few steps.
    """

    def __init__(self, embedding: int, tokens: int, width: int, time_width: int):
        super().__init__()
        self.to_context = nn.Linear(embedding, width)
        self.place = nn.Parameter(0.02 * torch.randn(1, tokens, width))
        self.strength = nn.Parameter(torch.zeros(1, tokens, width))
        self.to_time = nn.Linear(embedding, time_width)
        self.time_strength = nn.Parameter(torch.zeros(1, time_width))

    @classmethod
    def of(cls, frozen: Frozen) -> "ImplicitCaptioner":
        """An untrained one that fits a frozen model."""
        time_width = frozen.model.unet.time_embedding.linear_2.out_features
        return cls(frozen.clip.network.config.projection_dim, *frozen.empty.shape[1:], time_width)

    def forward(self, empty: torch.Tensor, embedding: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Context (B, L, D) and what is added to the time embedding (B, T), of CLIP embeddings (B, E)."""
        spoken = self.to_context(embedding)[:, None] + self.place
        beside_time = (_FASTER * self.time_strength).tanh() * self.to_time(embedding)
        return empty + (_FASTER * self.strength).tanh() * spoken, beside_time


def pyramid(
    frozen: Frozen,
    images: torch.Tensor,
    context: torch.Tensor | None = None,
    beside_time: torch.Tensor | None = None,
) -> list[torch.Tensor]:
    """f = UNet(x_t, context), one pass, as maps (B, C, h, w), finest first.

    images: (B, 3, H, W) in [0,1]. context: (B, L, D), the empty caption's unless given. The finest maps are
    of the VAE's encoder, at twice the latent's side. The others are what enters the last block of each level
    of the U-Net's way up, skip connection included. A gradient passes to context and beside_time.
    """
    encoded, raised = [], []
    model, encoder = frozen.model, frozen.model.vae.encoder
    with _kept([encoder.conv_in, *encoder.down_blocks], encoded):
        latents = model.encode_image(images)
    context = frozen.empty.expand(len(latents), -1, -1) if context is None else context
    context = context.to(latents)
    last = [block.resnets[-1] for block in model.unet.up_blocks]
    with _kept(last, raised, inputs=True), _beside_time(model.unet, beside_time):
        model.unet(frozen.noised(latents), frozen.level, encoder_hidden_states=context)
    side = latents.shape[-1]
    fine, equal = ([maps for maps in encoded if maps.shape[-1] == n * side] for n in (2, 1))
    levels = [[maps] for maps in raised[::-1]]
    levels[0] += equal
    for coarse in levels[LEVELS:]:
        levels[LEVELS - 1] += [F.interpolate(coarse[0], levels[LEVELS - 1][0].shape[-2:])]
    return [torch.cat(maps, dim=1).float().cpu() for maps in (fine, *levels[:LEVELS])]


@contextmanager
def _kept(modules: list[nn.Module], kept: list, inputs: bool = False) -> Iterator[None]:
    """What modules give, or take, is appended to `kept` as they run."""
    hooks = [
        one.register_forward_hook(lambda _, given, maps: kept.append(given[0] if inputs else maps))
        for one in modules
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _beside_time(unet, vector: torch.Tensor | None) -> Iterator[None]:
    """Add a vector (B, T) to the time embedding."""

    def add(_, given, embedded):
        return embedded if vector is None else embedded + vector.to(embedded)

    hook = unet.time_embedding.register_forward_hook(add)
    try:
        yield
    finally:
        hook.remove()


def clip_maps(frozen: Frozen, images: torch.Tensor) -> list[torch.Tensor]:
    """The patches of all layers of CLIP's image tower, resized to a pyramid of strides 2, 4, 8 and 16."""
    tower = frozen.clip.network.vision_model
    layers = tower(frozen.clip.pixels(images), output_hidden_states=True).hidden_states
    patches = torch.cat([layer[:, 1:] for layer in layers[1:]], dim=-1)
    side = round(patches.shape[1] ** 0.5)
    maps = patches.transpose(1, 2).unflatten(2, (side, side))
    return [F.interpolate(maps, images.shape[-1] // stride, mode="bilinear") for stride in (2, 4, 8, 16)]
