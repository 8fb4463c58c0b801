"""The filters of InstructPix2Pix: which of the model's pairs a CLIP lets pass."""

import json
from pathlib import Path

import torch

from kp_helpers.diffusion import Diffusion
from kp_helpers.editing.instructed import decode
from kp_helpers.editing.pairs import Pairs, model_pairs
from kp_helpers.figures.edits import TRAINING, Edit, edits, images_of
from kp_helpers.figures.judge import Judge, Similarities
from kp_helpers.store import replace_file

PAPERS = {"picture to picture": 0.7, "picture to text": 0.2, "direction": 0.2}
"""The paper's thresholds, for OpenAI's CLIP."""
_TRUE_PAIRS = 80


def passed(seen: Similarities, thresholds: dict[str, float]) -> dict[str, torch.Tensor]:
    """Of each filter alone which pairs pass it, bool (n,), and of all of them together."""
    each = {name: value >= thresholds[name] for name, value in by_filter(seen).items()}
    return each | {"all": torch.stack(list(each.values())).all(dim=0)}


def by_filter(seen: Similarities) -> dict[str, torch.Tensor]:
    """The cosines (n,) that each filter goes by."""
    return dict(zip(PAPERS, (seen.pictures, seen.captions, seen.direction), strict=True))


def best_of(
    direction: torch.Tensor, passed: torch.Tensor, triplets: torch.Tensor, most: int = 4
) -> torch.Tensor:
    """Numbers of the pairs that are kept: of each triplet up to `most` that passed, by direction."""
    kept = []
    for triplet in triplets.unique():
        own = torch.nonzero((triplets == triplet) & passed).flatten()
        kept.append(own[direction[own].argsort(descending=True)[:most]])
    return torch.cat(kept)


def filtered_pairs(diffusion: Diffusion, folder: Path, triplets: int, each: int) -> dict:
    """Make the model's pairs and write them to `folder`, as many without filters as with; the yields.

    The thresholds are those that nine of ten pairs of the renderer pass: the paper's are of another CLIP.
    """
    true = edits(_TRUE_PAIRS, first=TRAINING)
    seen = _seen(Judge("clip"), true, *(images_of(true, side) for side in (0, 1)))
    thresholds = {name: float(values.quantile(0.1)) for name, values in by_filter(seen).items()}
    pairs, own = model_pairs(diffusion, folder, triplets, each)
    pictures = [decode(diffusion, latents) for latents in (pairs.before, pairs.after)]
    seen, judged = (_seen(Judge(part), own, *pictures) for part in ("clip", "judge"))
    own_passed, papers_passed = passed(seen, thresholds), passed(seen, PAPERS)
    kept = best_of(seen.direction, own_passed["all"], torch.arange(len(pairs)) // each)
    drawn = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0))[: len(kept)]
    for name, rows in (("filtered", kept), ("unfiltered", drawn)):
        said = [pairs.instructions[row] for row in rows]
        Pairs(pairs.before[rows], pairs.after[rows], said).save(folder / f"{name}.safetensors")
    yields = {"pairs": len(pairs), "each": each, "kept": len(kept), "thresholds": thresholds}
    yields["passed"] = {name: float(one.float().mean()) for name, one in own_passed.items()}
    yields["passed_papers"] = {name: float(one.float().mean()) for name, one in papers_passed.items()}
    directions = {"kept": judged.direction[kept], "drawn": judged.direction[drawn]}
    yields["second_clip"] = {name: float(one.mean()) for name, one in directions.items()}
    replace_file(folder / "filters.json", lambda partial: partial.write_text(json.dumps(yields)))
    return yields


def _seen(judge: Judge, edits: list[Edit], before: torch.Tensor, after: torch.Tensor) -> Similarities:
    return judge.similarities(before, after, [one.caption for one in edits], [one.edited for one in edits])
