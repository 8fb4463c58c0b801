"""Which of several random starts is kept: the one that fits best, or the one that the others agree with."""

import torch
import torch.nn.functional as F

from kp_helpers.joint_losses import Labelled, MapsOf


@torch.no_grad()
def chosen(own: Labelled, maps_of: MapsOf, tokens: torch.Tensor) -> int:
    """The number of the restart that is kept, of tokens (R, M, D) that were learned."""
    if own.settings.restart_by == "agreement":
        return int(agreement(_views_of_labels(own, maps_of, tokens)).argmax())
    every = range(len(own.examples))
    return int(torch.stack([own.plain_losses(maps_of, one, every).min() for one in tokens]).argmin())


def agreement(maps: torch.Tensor) -> torch.Tensor:
    """How like the others' each restart's maps are, (R,): Pearson's correlation, the mean over the other
    restarts and over pictures. maps: (R, n, S, S).
    """
    rows = maps.flatten(2)
    rows = F.normalize(rows - rows.mean(dim=-1, keepdim=True), dim=-1)
    alike = torch.einsum("anp,bnp->ab", rows, rows) / rows.shape[1]
    return (alike.sum(dim=1) - alike.diagonal()) / (len(alike) - 1)


def _views_of_labels(own: Labelled, maps_of: MapsOf, tokens: torch.Tensor) -> torch.Tensor:
    """The joint's maps (R, n, S, S) on a random view of each labelled picture.

    On the pictures as they are, all restarts were asked for the same map.
    """
    found = []
    for image in range(len(own.examples)):
        own_runs = [[one] * len(tokens) for one in (own.pairs, image)]
        seen = maps_of(own_runs[0], list(tokens), own_runs[1], own.settings.steps)
        found.append(torch.stack([own.readouts(maps, image)[1, 0] for maps, _ in seen]))
    return torch.stack(found, dim=1)
