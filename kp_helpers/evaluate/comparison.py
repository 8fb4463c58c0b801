"""How like one another learned embeddings are, by their tokens and by where they look."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from kp_helpers import reading
from kp_helpers.config import TestTime
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import Appended


def token_cosines(learned: Sequence[Appended]) -> torch.Tensor:
    """Cosine similarity of the embeddings' tokens, (E, E), token by token in their order, then the mean."""
    tokens = torch.stack([F.normalize(one.tokens, dim=-1) for one in learned])
    return torch.einsum("amd,bmd->ab", tokens, tokens) / tokens.shape[1]


def map_correlations(
    diffusion: Diffusion, learned: Sequence[Appended], images: torch.Tensor, settings: TestTime
) -> torch.Tensor:
    """Pearson's correlation of the maps of each two embeddings, (E, E), the mean over images (n, 3, S, S).

    It says whether two embeddings look at the same places, whatever their tokens are.
    """
    seen = [reading.read_appended(diffusion, one, images, settings).flatten(1) for one in learned]
    maps = torch.stack(seen)
    maps = F.normalize(maps - maps.mean(dim=-1, keepdim=True), dim=-1)
    return torch.einsum("anp,bnp->ab", maps, maps) / len(images)
