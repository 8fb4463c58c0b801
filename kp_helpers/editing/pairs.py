"""Pairs of pictures to train on, as latents in shards on disk: drawn by the renderer."""

from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm.auto import tqdm

from kp_helpers import store
from kp_helpers.diffusion import Diffusion
from kp_helpers.editing.prompt_to_prompt import generate_pairs, refined
from kp_helpers.figures.edits import KINDS, TEMPLATES, TRAINING, Edit, draw_edit, images_of

SHARD = 500
_BATCH, _AT_ONCE = 50, 4


@dataclass(frozen=True)
class Pairs:
    """Latents (n, 4, h, w) of unit variance before and after an edit; of each pair its instructions."""

    before: torch.Tensor
    after: torch.Tensor
    instructions: list[list[str]]

    def __len__(self) -> int:
        return len(self.before)

    def save(self, path: Path) -> Path:
        """Write them in float16."""
        tensors = {"before": self.before.half(), "after": self.after.half()}
        return store.save(path, tensors, {"instructions": self.instructions})

    @classmethod
    def load(cls, *paths: Path) -> "Pairs":
        """The pairs of one or several files, one after the other. Raises store.DamagedError."""
        parts = [store.load(path) for path in paths]
        latents = [torch.cat([tensors[name] for tensors, _ in parts]) for name in ("before", "after")]
        return cls(*latents, [row for _, facts in parts for row in facts["instructions"]])


def encode(diffusion: Diffusion, images: torch.Tensor) -> torch.Tensor:
    """Latents of images (n, 3, H, W) in [0,1], on the CPU, a few images at a time."""
    with torch.autocast(diffusion.device.type, enabled=False):
        return torch.cat([diffusion.encode_image(part).cpu() for part in images.split(_BATCH)])


def training_instructions(edit: Edit) -> list[str]:
    """All wordings but the one that is kept out of the training."""
    return [edit.instruction(wording) for wording in range(len(TEMPLATES[edit.kind]) - 1)]


def rendered_pairs(diffusion: Diffusion, folder: Path, count: int) -> Pairs:
    """`count` pairs that the renderer draws, made once: shards that are in `folder` already are kept."""
    paths = [folder / f"rendered-{number:03d}.safetensors" for number in range(-(-count // SHARD))]
    for number, path in enumerate(tqdm(paths, desc="pairs", unit="shard")):
        if not path.exists():
            first = number * SHARD
            drawn = [draw_edit(TRAINING + n, KINDS[n % len(KINDS)]) for n in range(first, first + SHARD)]
            latents = [encode(diffusion, images_of(drawn, side)) for side in (0, 1)]
            Pairs(*latents, [training_instructions(edit) for edit in drawn]).save(path)
    pairs = Pairs.load(*paths)
    return Pairs(pairs.before[:count], pairs.after[:count], pairs.instructions[:count])


def model_pairs(
    diffusion: Diffusion, triplets: int, each: int = 20, seed: int = 0
) -> tuple[Pairs, list[Edit]]:
    """Pairs that the model makes with Prompt-to-Prompt, `each` of every triplet, and the edit of each.

    As the paper does, the share of the steps in which self-attention is handed over is drawn anew for every
    pair, from .1 to .9: how much a picture may change depends on the edit.
    """
    edits = [draw_edit(TRAINING + 500_000 + n, KINDS[n % len(KINDS)]) for n in range(triplets)]
    before, after = [], []
    for number, edit in enumerate(tqdm(edits, desc="pairs of the model", unit="triplet")):
        generator = torch.Generator().manual_seed(1000 * seed + number)
        for first in range(0, each, _AT_ONCE):
            count = min(_AT_ONCE, each - first)
            said = [edit.caption] * count, [edit.edited] * count
            until = 0.1 + 0.8 * float(torch.rand(1, generator=generator))
            control = refined(diffusion, *said, self_until=until)
            pair = generate_pairs(
                diffusion, *said, control, seed=int(torch.randint(2**31, (1,), generator=generator))
            )
            before.append(pair[0])
            after.append(pair[1])
    edits = [edit for edit in edits for _ in range(each)]
    return Pairs(torch.cat(before), torch.cat(after), [training_instructions(e) for e in edits]), edits
