"""Pairs of pictures to train on, as latents in shards on disk: drawn by the renderer, or by the model."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm.auto import tqdm

from kp_helpers import store
from kp_helpers.diffusion import Diffusion
from kp_helpers.editing.instructed import fast
from kp_helpers.editing.prompt_to_prompt import generate_pairs, refined
from kp_helpers.figures.edits import KINDS, TRAINING, Edit, draw_edit, training_instructions, training_pairs
from kp_helpers.figures.training.rendering import rendered

SHARD, PART = 500, 50
"""Pairs to a file; pairs that a process draws at once where they are not kept."""
LATENTS = (4, 32, 32)
ENOUGH = 2_000
"""Pairs that training begins with, where more come."""
_BATCH, _AT_ONCE = 50, 8
_OF_MODEL = 500_000
"""Edits that the model draws have seeds that begin so much later than those of the renderer."""
_STEPS = 10
"""Of each pair that the model draws: twice as many pairs as with Prompt-to-Prompt's own 20."""


@dataclass(frozen=True)
class Pairs:
    """Latents (n, 4, h, w) of unit variance before and after an edit; of each pair its instructions."""

    before: torch.Tensor
    after: torch.Tensor
    instructions: list[list[str]]

    def __len__(self) -> int:
        return len(self.instructions)

    def save(self, path: Path) -> Path:
        """Write them in float16."""
        tensors = {"before": self.before.half(), "after": self.after.half()}
        return store.save(path, tensors, {"instructions": self.instructions})

    @classmethod
    def load(cls, *paths: Path) -> "Pairs":
        """The pairs of one or several files, one after the other. Raises store.DamagedError."""
        parts = [store.load(path) for path in paths]
        sides = ("before", "after")  # autocast on a CPU joins no halves
        latents = [torch.cat([tensors[side].float() for tensors, _ in parts]) for side in sides]
        return cls(*latents, [row for _, facts in parts for row in facts["instructions"]])


def encode(diffusion: Diffusion, images: torch.Tensor) -> torch.Tensor:
    """Latents of images (n, 3, H, W) in [0,1], on the CPU, a few images at a time."""
    with torch.autocast(diffusion.device.type, enabled=False):
        return torch.cat([diffusion.encode_image(part).float().cpu() for part in images.split(_BATCH)])


def rendered_pairs(diffusion: Diffusion, folder: Path, count: int) -> Pairs:
    """`count` pairs that the renderer draws, made once: shards that are in `folder` already are kept."""
    paths = [folder / f"rendered-{number:03d}.safetensors" for number in range(-(-count // SHARD))]
    for number, path in enumerate(tqdm(paths, desc="pairs", unit="shard")):
        if not path.exists():
            *images, said = training_pairs(number * SHARD, SHARD)
            Pairs(*(encode(diffusion, side) for side in images), said).save(path)
    pairs = Pairs.load(*paths)
    return Pairs(pairs.before[:count], pairs.after[:count], pairs.instructions[:count])


@contextmanager
def growing_pairs(diffusion: Diffusion, count: int) -> Iterator[Pairs]:
    """The same pairs, drawn on all cores beside what is done inside: those that are ready, and the others as
    they come. What is learned from them depends on how fast they do.
    """
    room = (torch.empty(-(-count // PART) * PART, *LATENTS, dtype=torch.float16) for _ in range(2))
    pairs = Pairs(*room, [])

    def take(drawn: tuple[torch.Tensor, torch.Tensor, list[list[str]]]) -> None:
        *images, said = drawn
        rows = slice(len(pairs), len(pairs) + len(said))
        for kept, side in zip((pairs.before, pairs.after), images, strict=True):
            kept[rows] = encode(diffusion, side.float())
        pairs.instructions.extend(said)  # at last: what is counted is there

    jobs = [(first, PART) for first in range(0, count, PART)]
    with rendered(training_pairs, jobs, take, enough=lambda: len(pairs) >= min(ENOUGH, count), about="pairs"):
        yield pairs


def model_pairs(
    diffusion: Diffusion, folder: Path, triplets: int, each: int = 20
) -> tuple[Pairs, list[Edit]]:
    """Pairs that the model makes with Prompt-to-Prompt, `each` of every triplet, and the edit of each.

    They are made once, a shard of one triplet of each kind at a time: shards in `folder` are kept.
    """
    drawn = [draw_edit(TRAINING + _OF_MODEL + n, KINDS[n % len(KINDS)]) for n in range(triplets)]
    paths = []
    for first in tqdm(range(0, triplets, len(KINDS)), desc="pairs of the model", unit="shard"):
        part = drawn[first : first + len(KINDS)]
        path = folder / f"model-{each}-{first:04d}-{first + len(part):04d}.safetensors"
        if not path.exists():
            with fast(diffusion):
                made = [_pairs_of(diffusion, edit, each, first + n) for n, edit in enumerate(part)]
            before, after = (torch.cat(latents) for latents in zip(*made, strict=True))
            said = [training_instructions(edit) for edit in part for _ in range(each)]
            Pairs(before, after, said).save(path)
        paths.append(path)
    return Pairs.load(*paths), [edit for edit in drawn for _ in range(each)]


def _pairs_of(diffusion: Diffusion, edit: Edit, count: int, number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents before and after, (count, 4, h, w) each, of a triplet.

    As the paper does, the share of the steps in which self-attention is handed over is drawn anew for every
    pair, from .1 to .9: how much a picture may change depends on the edit.
    """
    generator = torch.Generator().manual_seed(number)
    made = []
    for first in range(0, count, _AT_ONCE):
        n = min(_AT_ONCE, count - first)
        said = [edit.caption] * n, [edit.edited] * n
        until = 0.1 + 0.8 * torch.rand(n, generator=generator)
        control = refined(diffusion, *said, self_until=until)
        seed = int(torch.randint(2**31, (1,), generator=generator))
        made.append(generate_pairs(diffusion, *said, control, seed=seed, steps=_STEPS))
    return tuple(torch.cat(latents) for latents in zip(*made, strict=True))
