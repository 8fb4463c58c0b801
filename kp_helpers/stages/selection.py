"""Which tokens of a learned base are its keypoints."""

import torch

from kp_helpers import heatmaps, keypoints, reading
from kp_helpers.config import BaseStage, randomness
from kp_helpers.diffusion import Diffusion

SELECTION_IMAGES = 100


@torch.no_grad()
def select_tokens(
    diffusion: Diffusion,
    context: torch.Tensor,
    images: torch.Tensor,
    settings: BaseStage,
    k: int,
    inside: torch.Tensor | None = None,
) -> torch.Tensor:
    """The k tokens chosen most often over the first 100 images, (k,) indices into the N of context (N, D).

    An image chooses as a step of the base stage does, on the plain view alone (StableKeypoints).
    images: (n, 3, H, W) in [0,1]; inside: (n, 4), as for `reading.read_keypoints`.
    """
    timestep, chosen = reading.timestep_of(diffusion, settings.reading), []
    masks = heatmaps.inside_mask(inside, settings.reading.map_size)
    for i, image in enumerate(images[:SELECTION_IMAGES]):
        noise = randomness.generator(settings.seed, "selection noise", i)
        latents = diffusion.add_noise(diffusion.encode_image(image[None]), timestep, noise)
        found = reading.maps(diffusion, latents, context, settings.reading)[0]
        mask = None if masks is None else masks[i]
        candidates = keypoints.candidates(
            found, settings.candidates, settings.sigma_pixels, settings.candidates_by, mask
        )
        chosen.append(keypoints.furthest_points(found, settings.keypoints, candidates, mask))
    return keypoints.most_chosen(torch.stack(chosen), k)
