"""Where the tokens of the appended stage start: noise, copies of base tokens, or a fit of the target map; and
the base before them.

In `start` `stage` is an `AppendedTokens`.
"""

import torch

from kp_helpers import embeddings, reading
from kp_helpers.config import AppendedStage
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import widened
from kp_helpers.stages import closed_form

GAINS = (0.3, 0.6, 1.2, 2.5, 5.0, 10.0)
"""Of a fitted start: the standard deviations over pixels of its mean logit that are tried."""
GAIN_IMAGES = 10
"""Images by which the gain is chosen."""
SPREAD = 0.1
"""Length of the noise in a fitted token, a share of the token's: equal tokens would stay equal."""


@torch.no_grad()
def base_tokens(diffusion: Diffusion, base: torch.Tensor, settings: AppendedStage) -> torch.Tensor:
    """The base (N, D) that the settings name, on the model's device: what was learned, or an empty caption's.

    Under random or learned tokens the U-Net sees what no training picture had beside it; under an empty
    caption its features are those that it was trained to have.
    """
    if settings.base == "caption":
        return diffusion.encode_text([""])[0].float()  # whatever the weights are, tokens are float32
    return base.detach().to(diffusion.device)


@torch.no_grad()
def start(stage) -> torch.Tensor:
    """The first tokens of a run, (M, D), or (M, L D) with tokens for each of L layers."""
    settings = stage.settings
    if settings.init == "base":
        return _base_tokens(stage)
    if settings.init == "closed_form":
        return _fitted(stage, _direction(stage))
    return _noise(stage, settings.init_scale)


def _noise(stage, scale: float) -> torch.Tensor:
    settings, base = stage.settings, stage.base
    count, width = settings.appended_tokens(len(base)), base.shape[1] * stage.layers
    return embeddings.initialise(count, width, settings.seed, scale=scale, purpose="appended").to(base)


def _base_tokens(stage) -> torch.Tensor:
    """Copies of the base tokens whose maps lie most on the targets."""
    base = stage.base
    mass = torch.zeros(len(base), device=base.device)
    for image in range(len(stage.views)):
        plain, target = stage.views.latents(image, 0)[:1], stage.targets[image]
        maps = reading.maps(stage.diffusion, plain, base, stage.settings.reading)[0]
        mass += (maps * target).sum(dim=(-2, -1)) / maps.sum(dim=(-2, -1))
    ranked = mass.argsort(descending=True, stable=True)
    count = stage.settings.appended_tokens(len(base))
    copies = base[ranked[torch.arange(count, device=base.device) % len(base)]]
    return widened(copies, base.shape[1] * stage.layers)


def _direction(stage) -> torch.Tensor:
    """The fit (D,), or (L D,), of the target maps, to queries under the base."""
    settings, diffusion = stage.settings, stage.diffusion

    def pairs():
        for image in range(len(stage.views)):
            latents = stage.views.latents(image, 0)[:1]
            queries = reading.queries(diffusion, latents, stage.base, settings.reading)
            size, apart = settings.reading.map_size, settings.layer_tokens
            yield closed_form.features(diffusion.unet, queries, size, apart)[0], stage.targets[image]

    return closed_form.direction(pairs(), settings.closed_form_ridge).to(stage.base)


def _fitted(stage, direction: torch.Tensor) -> torch.Tensor:
    """The direction (D,) or (L D,), with noise of its own for each token, at the gain that fits best."""
    unit = direction + direction.norm() * _noise(stage, SPREAD / len(direction) ** 0.5)
    last, tried = len(stage.views) - 1, min(GAIN_IMAGES, len(stage.views))
    images = torch.linspace(0, last, tried).long().tolist()
    fits = {gain: stage.plain_losses(gain * unit, images).min().item() for gain in GAINS}
    return min(fits, key=fits.get) * unit
