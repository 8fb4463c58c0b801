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
"""Examples by which the gain is chosen."""
SPREAD = 0.1
"""Length of the noise in a fitted token, a share of the token's: equal tokens would stay equal."""


@torch.no_grad()
def base_tokens(diffusion: Diffusion, base: torch.Tensor, settings: AppendedStage) -> torch.Tensor:
    """The base (N, D) that the settings name, on the model's device: what was learned, or an empty caption's.

    Under random or learned tokens the U-Net sees what no training picture had beside it; under an empty
    caption its features are those that it was trained to have.
    """
    if settings.base == "caption":
        return diffusion.encode_text([""])[0]
    return base.detach().to(diffusion.device)


@torch.no_grad()
def start(stage) -> torch.Tensor:
    """The first tokens of a run, (M, D), and after them as many rivals where it has some.

    With several restarts (R, M, D); with tokens for each of L layers L D numbers in each.
    """
    settings = stage.settings
    if settings.init == "base":
        return torch.cat([_base_tokens(stage, rival) for rival in _sides(stage)])
    every = range(settings.restarts)
    if settings.init == "closed_form":
        directions = torch.stack([_direction(stage, rival) for rival in _sides(stage)])
        tokens = [_fitted(stage, directions, restart) for restart in every]
    else:
        tokens = [_noise(stage, restart, settings.init_scale) for restart in every]
    return tokens[0] if settings.restarts == 1 else torch.stack(tokens)


def _sides(stage) -> tuple[bool, ...]:
    """Whose tokens there are: the joint's own (False), and the rivals' (True)."""
    return (False, True) if stage.examples.has_rivals else (False,)


def _noise(stage, restart: int, scale: float) -> torch.Tensor:
    settings, base = stage.settings, stage.base
    count, width = settings.appended_tokens(len(base)), base.shape[1] * stage.layers
    sides = []
    for rival in _sides(stage):
        purpose = ("rivals" if rival else "appended") + (f" {restart}" if restart else "")
        sides.append(embeddings.initialise(count, width, settings.seed, scale=scale, purpose=purpose))
    return torch.cat(sides).to(base)


def _base_tokens(stage, rival: bool) -> torch.Tensor:
    """Copies of the base tokens whose maps lie most on the targets."""
    base = stage.base
    mass = torch.zeros(len(base), device=base.device)
    for image in _images(stage, rival):
        plain, target = stage.views.latents(image, 0)[:1], stage.targets[image]
        maps = reading.maps(stage.diffusion, plain, base, stage.settings.reading)[0]
        mass += (maps * target).sum(dim=(-2, -1)) / maps.sum(dim=(-2, -1))
    ranked = mass.argsort(descending=True, stable=True)
    count = stage.settings.appended_tokens(len(base))
    copies = base[ranked[torch.arange(count, device=base.device) % len(base)]]
    return widened(copies, base.shape[1] * stage.layers)


def _direction(stage, rival: bool) -> torch.Tensor:
    """The fit (D,), or (L D,), of one side's target maps, to queries under the base."""
    settings, diffusion = stage.settings, stage.diffusion

    def pairs():
        for image in _images(stage, rival):
            latents = stage.views.latents(image, 0)[:1]
            queries = reading.queries(diffusion, latents, stage.base, settings.reading)
            size, apart = settings.reading.map_size, settings.layer_tokens
            yield closed_form.features(diffusion.unet, queries, size, apart)[0], stage.targets[image]

    return closed_form.direction(pairs(), settings.closed_form_ridge).to(stage.base)


def _fitted(stage, directions: torch.Tensor, restart: int) -> torch.Tensor:
    """The directions (1 or 2, D or L D), with noise of its own for each token, at the gain that fits best."""
    count, width = stage.settings.appended_tokens(len(stage.base)), directions.shape[1]
    fitted = directions.repeat_interleave(count, dim=0)
    noise = _noise(stage, restart, SPREAD / width**0.5)
    unit = fitted + fitted.norm(dim=1, keepdim=True) * noise
    last, tried = len(stage.examples) - 1, min(GAIN_IMAGES, len(stage.examples))
    images = torch.linspace(0, last, tried).long().tolist()
    fits = {gain: stage.plain_losses(gain * unit, images).min().item() for gain in GAINS}
    return min(fits, key=fits.get) * unit


def _images(stage, rival: bool) -> list[int]:
    """The examples of one side's joint."""
    return [image for image, theirs in enumerate(stage.examples.rival) if theirs == rival]
