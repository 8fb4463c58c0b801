"""Ways to edit pictures of the figures world: by instruction, and what that is compared with."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from diffusers import DDIMScheduler

from kp_helpers.diffusion import Diffusion
from kp_helpers.editing.instructed import IMAGE_SCALE, TEXT_SCALE, decode, edit, fast
from kp_helpers.editing.pairs import encode
from kp_helpers.editing.prompt_to_prompt import GUIDANCE, STEPS, generate_pairs, inverted, refined
from kp_helpers.figures.edit_scores import FLOOR, OWN
from kp_helpers.figures.edits import TEMPLATES, Edit, images_of

_AT_ONCE = 16


def by_instruction(
    diffusion: Diffusion,
    unet,
    chosen: Sequence[Edit],
    text_scale: float = TEXT_SCALE,
    image_scale: float = IMAGE_SCALE,
    wording: int = 0,
) -> torch.Tensor:
    """Images (n, 3, H, W) in [0,1] of the pictures before the edits, edited by their instructions."""
    latents = encode(diffusion, images_of(chosen, 0))
    said = [one.instruction(wording % len(TEMPLATES[one.kind])) for one in chosen]
    return decode(diffusion, edit(diffusion, unet, latents, said, text_scale, image_scale))


def ways(diffusion: Diffusion, unet) -> dict[str, Callable[[Sequence[Edit]], torch.Tensor]]:
    """Name -> a way to edit: the instructed model, and what it is compared with."""
    return {
        OWN: partial(by_instruction, diffusion, unet),
        "copying": partial(images_of, side=0),
        "SDEdit": partial(sdedit, diffusion),
        "Prompt-to-Prompt": partial(prompt_to_prompt, diffusion),
        "text-to-image": partial(sdedit, diffusion, strength=1.0),
        FLOOR: partial(autoencoded, diffusion),
    }


def autoencoded(diffusion: Diffusion, edits: Sequence[Edit]) -> torch.Tensor:
    """The pictures after the edits as the autoencoder gives them."""
    return decode(diffusion, encode(diffusion, images_of(edits, 1)))


@torch.no_grad()
def sdedit(diffusion: Diffusion, edits: Sequence[Edit], strength: float = 0.7, seed: int = 0) -> torch.Tensor:
    """SDEdit: noise the picture to `strength` of the levels, and denoise it under the edited caption.

    strength 1 begins with noise alone: plain text-to-image.
    """
    schedule = DDIMScheduler.from_config(diffusion.scheduler.config, clip_sample=False)
    schedule.set_timesteps(STEPS)
    latents = encode(diffusion, images_of(edits, 0)).to(diffusion.device)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(seed)).to(latents)
    left = schedule.timesteps[STEPS - round(strength * STEPS) :]
    noised = noise if strength == 1 else diffusion.add_noise(latents, int(left[0]), noise=noise)
    context = diffusion.encode_text([""] * len(edits) + [edit.edited for edit in edits])
    for timestep in left:
        given = noised.repeat(2, 1, 1, 1).to(context)
        silent, told = diffusion.unet(given, timestep, context).sample.float().chunk(2)
        noised = schedule.step(silent + GUIDANCE * (told - silent), timestep, noised).prev_sample
    return decode(diffusion, noised)


def prompt_to_prompt(diffusion: Diffusion, edits: Sequence[Edit]) -> torch.Tensor:
    """Invert each picture under its caption, and make it again beside the edited caption, refined."""
    captions, edited = [edit.caption for edit in edits], [edit.edited for edit in edits]
    latents = encode(diffusion, images_of(edits, 0))
    start = inverted(diffusion, latents, captions)
    control = refined(diffusion, captions, edited)
    return decode(diffusion, generate_pairs(diffusion, captions, edited, control, start=start)[1])


def made(
    diffusion: Diffusion, edits: Sequence[Edit], way: Callable[[Sequence[Edit]], torch.Tensor]
) -> torch.Tensor:
    """Edited images of all edits, a few at a time."""
    parts = [edits[first : first + _AT_ONCE] for first in range(0, len(edits), _AT_ONCE)]
    with fast(diffusion):
        return torch.cat([way(part) for part in parts])
