"""Where the tokens of the appended stage start: noise, copies of base tokens, or a ridge fit of the target
map that the key projections carry into token space; and the base before them.

A token e has in layer l and head h the logit q_lh(p) . (W_lh e) / sqrt(d) at a pixel p. Its mean over heads
and layers is phi(p) . e with phi(p) = mean_lh W_lh^T q_lh(p) / sqrt(d), upsampled as logits are. So a linear
fit of the target map on phi is a token: the one whose mean logit is nearest to the target, up to scale and
level. With tokens of their own for each layer, the layers' phi stand one behind the other instead.

In `start` `stage` is an `AppendedTokens`.
"""

from collections.abc import Iterable

import torch

from kp_helpers import embeddings, reading
from kp_helpers.attention import Query
from kp_helpers.attention.shares import upsample
from kp_helpers.config import AppendedStage
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import widened
from kp_helpers.heatmaps import pixels_inside


@torch.no_grad()
def features(unet, asked: list[Query], size: int, apart: bool = False) -> torch.Tensor:
    """phi, (B, D, size, size), of kept queries; they are divided by sqrt(d) already.

    apart: whether each of L layers has a token of its own, (B, L D, size, size).
    """
    found = []
    for query in asked:
        module = unet.get_submodule(query.layer)
        projection = module.to_k.weight.float().unflatten(0, (module.heads, -1))
        coarse = torch.einsum("mdk,bmdhw->bkhw", projection, query.values) / module.heads
        found.append(upsample(coarse, size) / len(asked))
    return torch.cat(found, dim=1) if apart else sum(found)


def in_float64(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in float64; Apple's GPU has none, so from there it comes to the CPU."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()


def direction(seen: Iterable[tuple[torch.Tensor, torch.Tensor]], strength: float) -> torch.Tensor:
    """The ridge fit e = (F^T F + strength tr(F^T F) / D I)^-1 F^T y, (D,) float32, scaled so that its mean
    logit has standard deviation 1 over all pixels.

    seen: of each image its features (D, S, S) and its target map (S, S), or those of some pixels, (D, P) and
    (P,). F and y are those of all pixels of all images, less their means, in float64.
    """
    count, x, xx, xy, y = 0, 0, 0, 0, 0
    for phi, target in seen:
        rows, goal = in_float64(phi).flatten(1), in_float64(target).flatten()
        count, x, y = count + len(goal), x + rows.sum(dim=1), y + goal.sum()
        xx, xy = xx + rows @ rows.T, xy + rows @ goal
    gram, pull = xx - torch.outer(x, x) / count, xy - x * y / count
    penalty = strength * gram.diagonal().mean() * torch.eye(len(gram)).to(gram)
    found = torch.linalg.solve(gram + penalty, pull)
    return (found / (found @ gram @ found / count).sqrt()).float()


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
        inside = stage.views.inside(image)
        mass += pixels_inside(maps * target, inside).sum(dim=-1) / pixels_inside(maps, inside).sum(dim=-1)
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
            phi = features(diffusion.unet, queries, size, apart)[0]
            inside = stage.views.inside(image)
            yield pixels_inside(phi, inside), pixels_inside(stage.targets[image], inside)

    return direction(pairs(), settings.closed_form_ridge).to(stage.base)


def _fitted(stage, direction: torch.Tensor) -> torch.Tensor:
    """The direction (D,) or (L D,), with noise of its own for each token, at the gain that fits best."""
    unit = direction + direction.norm() * _noise(stage, SPREAD / len(direction) ** 0.5)
    last, tried = len(stage.views) - 1, min(GAIN_IMAGES, len(stage.views))
    images = torch.linspace(0, last, tried).long().tolist()
    fits = {gain: stage.plain_losses(gain * unit, images).min().item() for gain in GAINS}
    return min(fits, key=fits.get) * unit
