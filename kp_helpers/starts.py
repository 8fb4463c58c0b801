"""Where the tokens of the appended stage start: noise, copies of base tokens, or a fit of the target map."""

from functools import partial

import torch

from kp_helpers import closed_form, embeddings, readout
from kp_helpers.appended import widened
from kp_helpers.joint_losses import Labelled, MapsOf

GAINS = (0.3, 0.6, 1.2, 2.5, 5.0, 10.0)
"""Of a fitted start: the standard deviations over pixels of its mean logit that are tried."""
GAIN_IMAGES = 10
"""Examples by which the gain is chosen."""
SPREAD = 0.1
"""Length of the noise in a fitted token, a share of the token's: equal tokens would stay equal."""


@torch.no_grad()
def start(own: Labelled, base: torch.Tensor, maps_of: MapsOf) -> torch.Tensor:
    """The first tokens of a run, (M, D), and behind them as many rivals where it has some.

    With several restarts (R, M, D); with tokens for each of L layers L D numbers in each. base: (N, D).
    """
    restarts = own.settings.restarts
    if own.settings.init == "base":
        return torch.cat([_base_tokens(own, base, side) for side in _sides(own)])
    if own.settings.init == "closed_form":
        directions = torch.stack([_direction(own, base, side) for side in _sides(own)])
        made = partial(_fitted, own, base, maps_of, directions)
    else:
        made = partial(_noise, own, base, scale=own.settings.init_scale)
    return made(0) if restarts == 1 else torch.stack([made(restart) for restart in range(restarts)])


def _sides(own: Labelled) -> tuple[bool, ...]:
    """Whose tokens there are: the joint's own (False), and the rivals' (True)."""
    return (False, True) if own.examples.has_rivals else (False,)


def _noise(own: Labelled, base: torch.Tensor, restart: int, scale: float) -> torch.Tensor:
    settings, found = own.settings, []
    for rival in _sides(own):
        purpose = ("rivals" if rival else "appended") + (f" {restart}" if restart else "")
        tokens, width = settings.appended_tokens(len(base)), base.shape[1] * own.layers
        found.append(embeddings.initialise(tokens, width, settings.seed, scale=scale, purpose=purpose))
    return torch.cat(found).to(base)


def _base_tokens(own: Labelled, base: torch.Tensor, rival: bool) -> torch.Tensor:
    """Copies of the base tokens whose maps lie most on the targets."""
    looks = torch.zeros(len(base), device=base.device)
    for image in _images(own, rival):
        plain, target = own.pairs.latents(image, 0)[:1], own.targets[image]
        maps = readout.maps(own.pairs.diffusion, plain, base, own.settings.reading)[0]
        looks += (maps * target).sum(dim=(-2, -1)) / maps.sum(dim=(-2, -1))
    ranked = looks.argsort(descending=True, stable=True)
    count = own.settings.appended_tokens(len(base))
    return widened(
        base[ranked[torch.arange(count, device=base.device) % len(base)]], base.shape[1] * own.layers
    )


def _direction(own: Labelled, base: torch.Tensor, rival: bool) -> torch.Tensor:
    """The fit (D,), or (L D,), of one side's target maps, to queries under the base."""
    reading, diffusion = own.settings.reading, own.pairs.diffusion

    def seen():
        for image in _images(own, rival):
            asked = readout.queries(diffusion, own.pairs.latents(image, 0)[:1], base, reading)
            phi = closed_form.features(diffusion.unet, asked, reading.map_size, own.settings.layer_tokens)
            yield phi[0], own.targets[image]

    return closed_form.direction(seen(), own.settings.closed_form_ridge).to(base)


def _fitted(
    own: Labelled, base: torch.Tensor, maps_of: MapsOf, directions: torch.Tensor, restart: int
) -> torch.Tensor:
    """The directions (1 or 2, D or L D), with noise of its own for each token, at the gain that fits best."""
    count, width = own.settings.appended_tokens(len(base)), directions.shape[1]
    fitted = directions.repeat_interleave(count, dim=0)
    noise = _noise(own, base, restart, SPREAD / width**0.5)
    unit = fitted + fitted.norm(dim=1, keepdim=True) * noise
    images = torch.linspace(0, len(own.examples) - 1, min(GAIN_IMAGES, len(own.examples))).long().tolist()
    fits = {gain: own.plain_losses(maps_of, gain * unit, images).min().item() for gain in GAINS}
    return min(fits, key=fits.get) * unit


def _images(own: Labelled, rival: bool) -> list[int]:
    """The examples of one side's joint."""
    return [image for image, theirs in enumerate(own.examples.rival) if theirs == rival]
