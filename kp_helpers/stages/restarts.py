"""Which of several random starts is kept: the one that fits best, or the one that the others agree with."""

import torch
import torch.nn.functional as F


@torch.no_grad()
def chosen(stage, tokens: torch.Tensor) -> int:
    """The number of the restart that is kept, of tokens (R, M, D) that an `AppendedTokens` learned."""
    if stage.settings.restart_by == "agreement":
        return int(agreement(_maps_of_views(stage, tokens)).argmax())
    every = range(len(stage.examples))
    return int(torch.stack([stage.plain_losses(restart, every).min() for restart in tokens]).argmin())


def agreement(maps: torch.Tensor) -> torch.Tensor:
    """How like the others' each restart's maps are, (R,): Pearson's correlation, the mean over the other
    restarts and over pictures. maps: (R, n, S, S).
    """
    rows = maps.flatten(2)
    rows = F.normalize(rows - rows.mean(dim=-1, keepdim=True), dim=-1)
    alike = torch.einsum("anp,bnp->ab", rows, rows) / rows.shape[1]
    return (alike.sum(dim=1) - alike.diagonal()) / (len(alike) - 1)


def _maps_of_views(stage, tokens: torch.Tensor) -> torch.Tensor:
    """The joint's maps (R, n, S, S) on a random view of each labelled picture.

    On the pictures as they are, all restarts were asked for the same map.
    """
    view = stage.views.view(stage.settings.steps)
    images = range(len(stage.examples))
    return torch.stack(
        [
            torch.stack([stage.joint_maps(stage.maps(one, image, view), image)[1, 0] for image in images])
            for one in tokens
        ]
    )
