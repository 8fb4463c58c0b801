"""The instructed model of InstructPix2Pix: a U-Net that also sees the picture, guided in two ways.

It is tested against diffusers' StableDiffusionInstructPix2PixPipeline, whose `image_guidance_scale` below 1
silently switches all guidance off, the text's too; `edit` has no such limit.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel

from kp_helpers import store
from kp_helpers.diffusion import Diffusion, ModelError, half_is_emulated

SHIPPED = Path(__file__).with_name("instructed.safetensors")
INSTRUCTION_TOKENS = 24
"""An instruction's tokens, start, end and padding included: fewer than a caption's, which saves time."""
TEXT_SCALE, IMAGE_SCALE = 2.5, 1.8
"""s_T and s_I of equation (3) unless told otherwise; the paper's are 7.5 and 1.5. `guidance` in
evaluation.json has others beside them.
"""
STEPS = 10


def widened(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """A copy of a text-to-image U-Net that takes 8 channels: the noised latent and the picture's.

    The weights of the four new channels are zero, so that the copy begins as the model it was: it does not
    see the picture yet. The first convolution's bias is copied too, which a new layer alone would not do.
    """
    wide = copy.deepcopy(unet)
    old = unet.conv_in
    new = torch.nn.Conv2d(8, old.out_channels, old.kernel_size, old.stride, old.padding)
    with torch.no_grad():
        new.weight.zero_()
        new.weight[:, :4] = old.weight
        new.bias.copy_(old.bias)
    wide.conv_in = new.to(old.weight.device, old.weight.dtype)
    wide.register_to_config(in_channels=8)
    return wide


def save(path: Path, diffusion: Diffusion, unet: UNet2DConditionModel, facts: dict) -> Path:
    """Write how `unet` differs from the widened base: a byte a weight and a scale a row, half of float16."""
    base = widened(diffusion.unet).state_dict()
    tensors = {}
    for name, tensor in unet.state_dict().items():
        change = (tensor.cpu() - base[name].cpu()).float()
        scale = change.abs().flatten(1 if change.ndim > 1 else 0).amax(-1) / 127
        rows = scale.view(-1, *[1] * (change.ndim - 1)) if change.ndim > 1 else scale
        tensors[name] = (change / rows.clamp_min(1e-20)).round().to(torch.int8)
        tensors[f"{name}.scale"] = scale
    return store.save(path, tensors, {"base": diffusion.fingerprint, **facts})


def load(diffusion: Diffusion, path: Path = SHIPPED) -> UNet2DConditionModel:
    """The instructed U-Net that `save` wrote, on the device of its base, frozen. Raises ModelError."""
    tensors, facts = store.load(path)
    if facts["base"] != diffusion.fingerprint:
        found = f"it was trained from U-Net {facts['base'][:8]}, and this is {diffusion.fingerprint[:8]}"
        raise ModelError(f"{path.name}: {found}; train it with python -m kp_helpers.editing train")
    unet = widened(diffusion.unet)
    with torch.no_grad():
        for name, tensor in unet.state_dict().items():
            scale = tensors[f"{name}.scale"].to(tensor)
            rows = scale.view(-1, *[1] * (tensor.ndim - 1)) if tensor.ndim > 1 else scale
            tensor += tensors[name].to(tensor) * rows
    return unet.requires_grad_(False).eval()


def context_of(diffusion: Diffusion, instructions: list[str]) -> torch.Tensor:
    """What the U-Net is told of instructions, (n, 24, D)."""
    rows = diffusion.tokenizer(
        instructions,
        padding="max_length",
        max_length=INSTRUCTION_TOKENS,
        truncation=True,
        return_tensors="pt",
    )
    with torch.no_grad():
        return diffusion.text_encoder(rows.input_ids.to(diffusion.device)).last_hidden_state


def guided(
    unguided: torch.Tensor,
    of_image: torch.Tensor,
    of_both: torch.Tensor,
    image_scale: float,
    text_scale: float,
) -> torch.Tensor:
    """Equation (3): e(0, 0) + s_I [e(c_I, 0) - e(0, 0)] + s_T [e(c_I, c_T) - e(c_I, 0)]."""
    return unguided + image_scale * (of_image - unguided) + text_scale * (of_both - of_image)


@torch.no_grad()
def edit(
    diffusion: Diffusion,
    unet: UNet2DConditionModel,
    latents: torch.Tensor,
    instructions: list[str],
    text_scale: float = TEXT_SCALE,
    image_scale: float = IMAGE_SCALE,
    steps: int = STEPS,
    seed: int = 0,
) -> torch.Tensor:
    """Latents (n, 4, h, w) of pictures edited by instructions, one each, in `steps` of DDIM from noise.

    latents: of the pictures, of unit variance. The same seed draws the same noise for each picture.
    """
    if len(latents) != len(instructions):
        raise ValueError(f"{len(instructions)} instructions for {len(latents)} pictures, expected one each")
    schedule = DDIMScheduler.from_config(diffusion.scheduler.config, clip_sample=False)
    schedule.set_timesteps(steps)
    picture = (latents / diffusion.vae.config.scaling_factor).to(diffusion.device)
    said = context_of(diffusion, instructions)
    silent = context_of(diffusion, [""]).expand_as(said)
    generator = torch.Generator().manual_seed(seed)
    noised = torch.randn(latents.shape, generator=generator).to(diffusion.device)
    seen = torch.cat([torch.zeros_like(picture), picture, picture])
    told = torch.cat([silent, silent, said])
    for timestep in schedule.timesteps:
        given = torch.cat([noised.repeat(3, 1, 1, 1), seen], dim=1).to(told)
        predicted = unet(given, timestep, told).sample.float()
        step = guided(*predicted.chunk(3), image_scale, text_scale)
        noised = schedule.step(step, timestep, noised).prev_sample
    return noised.cpu()


@torch.no_grad()
def decode(diffusion: Diffusion, latents: torch.Tensor) -> torch.Tensor:
    """Images (n, 3, H, W) in [0,1] of latents of unit variance, on the CPU."""
    scaled = latents.to(diffusion.device, diffusion.vae.dtype) / diffusion.vae.config.scaling_factor
    with torch.autocast(diffusion.device.type, enabled=False):
        parts = [diffusion.vae.decode(part).sample for part in scaled.split(50)]
    return (torch.cat(parts).float() / 2 + 0.5).clamp(0, 1).cpu()


@contextmanager
def fast(diffusion: Diffusion) -> Iterator[None]:
    """Without gradients and, where that takes half of the time, in bfloat16."""
    with torch.no_grad(), in_precision(diffusion.device):
        yield


def in_precision(device: torch.device, precision: torch.dtype | None = None) -> torch.autocast:
    """A pass in float32 or bfloat16; None is bfloat16, but where a CPU would emulate it."""
    half = precision == torch.bfloat16 if precision else not half_is_emulated(device)
    return torch.autocast(device.type, torch.bfloat16, enabled=half)
