"""A token in closed form: a ridge fit of the target map, carried into token space by the key projections.

A token e has in layer l and head h the logit q_lh(p) . (W_lh e) / sqrt(d) at a pixel p. Its mean over heads
and layers is phi(p) . e with phi(p) = mean_lh W_lh^T q_lh(p) / sqrt(d), upsampled as logits are. So a linear
fit of the target map on phi is a token: the one whose mean logit is nearest to the target, up to scale and
level. With tokens of their own for each layer, the layers' phi stand one behind the other instead.
"""

from collections.abc import Iterable

import torch

from kp_helpers.attention import Query
from kp_helpers.attention.shares import upsample


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
