"""Training a head: first on kept maps of the empty caption, then under the caption that it is to have."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from kp_helpers import store
from kp_helpers.data.panoptic import PanopticPicture
from kp_helpers.figures.training.loop import LoopSettings, train
from kp_helpers.open_vocabulary.classes import hidden, seen
from kp_helpers.open_vocabulary.classify import clip_text
from kp_helpers.open_vocabulary.data_sets import pictures
from kp_helpers.open_vocabulary.features import Frozen, ImplicitCaptioner, as_images, clip_maps, pyramid
from kp_helpers.open_vocabulary.head import CaptionLoss, Head, LabelLoss, targets

FINISHED = "trained.safetensors"
SHIPPED = Path(__file__).parent / "heads"


@dataclass(frozen=True)
class Recipe:
    """How a head is trained: all of it is saved with the head.

    supervision: "label" or "caption". caption: of the U-Net's pass in the second stage, "implicit", "empty"
    or "true". source: of the maps, "unet" or "clip". steps: of the first stage, captioned: of the second.
    """

    supervision: str = "label"
    caption: str = "implicit"
    source: str = "unet"
    steps: int = 400
    captioned: int = 50
    batch: int = 8
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class Trained:
    """A head with the classes that it was shown; captioner: of the implicit caption, else None."""

    head: Head
    captioner: ImplicitCaptioner | None
    seen: tuple[str, ...]
    recipe: Recipe

    def maps(self, frozen: Frozen, images: torch.Tensor, captions: list[str]) -> list[torch.Tensor]:
        """What the head sees of images (B, 3, H, W), whose captions only the recipe "true" reads."""
        if self.recipe.source == "clip":
            return clip_maps(frozen, images)
        if self.captioner:
            embedding = frozen.clip.embed(images)
            return pyramid(frozen, images, *self.captioner(frozen.empty, embedding))
        context = frozen.model.encode_text(captions) if self.recipe.caption == "true" else None
        return pyramid(frozen, images, context)

    def parts(self) -> nn.ModuleDict:
        """What learns."""
        captioner = {"captioner": self.captioner} if self.captioner else {}
        return nn.ModuleDict({"head": self.head} | captioner)

    def save(self, path: Path) -> Path:
        """Write it in float16."""
        tensors = {name: tensor.half() for name, tensor in self.parts().state_dict().items()}
        facts = {"head": self.head.settings, "seen": self.seen, "recipe": asdict(self.recipe)}
        return store.save(path, tensors, facts)

    @classmethod
    def load(cls, path: Path, frozen: Frozen) -> "Trained":
        """What `save` wrote, for the same frozen model. Raises OSError or store.DamagedError."""
        tensors, facts = store.load(path)
        parts = nn.ModuleDict({"head": Head(**facts["head"])})
        if any(name.startswith("captioner.") for name in tensors):
            parts["captioner"] = ImplicitCaptioner.of(frozen)
        parts.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
        parts.eval().requires_grad_(False)
        captioner = dict(parts.items()).get("captioner")
        return cls(parts["head"], captioner, tuple(facts["seen"]), Recipe(**facts["recipe"]))


def train_head(
    frozen: Frozen, data: str | Path, split: int, recipe: Recipe, count: int, folder: Path
) -> Trained:
    """Train on `count` pictures of a data set, and go on where it stopped in a folder of its own below
    `folder`, which belongs to these frozen models.

    Of the figures world the scenes are free of the split's hidden classes; elsewhere those are not shown.
    """
    name = f"{recipe.supervision}-{recipe.caption}-{recipe.source}-{recipe.steps}-{frozen.level}-{split}"
    place, size = folder / frozen.key / name, frozen.model.image_size
    if (place / FINISHED).exists():
        return Trained.load(place / FINISHED, frozen)
    classes = pictures(data, "test", 1, size).classes
    rows = pictures(data, "train", count, size, hidden(classes, split)).rows
    torch.manual_seed(0)
    loss = _Loss(frozen, rows, seen(classes, split), recipe)
    _learn(loss.trained.head, loss.on_kept, recipe.steps, recipe.learning_rate, place / "head")
    if recipe.captioned:
        parts, rate = loss.trained.parts(), recipe.learning_rate / 2
        _learn(parts, loss.under_caption, recipe.captioned, rate, place / recipe.caption)
    loss.trained.save(place / FINISHED)
    return Trained.load(place / FINISHED, frozen)


def _learn(module: nn.Module, loss_at, steps: int, rate: float, folder: Path) -> None:
    """Train in place to the averaged weights."""
    settings = LoopSettings(
        steps, rate, warmup=50, decay=0.25, weight_decay=0.05, averaging=0.99, save_minutes=1
    )
    module.load_state_dict(train(module, loss_at, settings, folder, "cpu").state_dict())


class _Loss:
    """The loss of a batch that the step alone chooses."""

    def __init__(
        self, frozen: Frozen, rows: Sequence[PanopticPicture], shown: tuple[str, ...], recipe: Recipe
    ):
        self.frozen, self.rows, self.recipe = frozen, rows, recipe
        self.empty = Trained(None, None, shown, replace(recipe, caption="empty"))
        channels = [maps.shape[1] for maps in self.maps(self.empty, rows[:1])]
        head = Head(channels, frozen.clip.network.config.projection_dim)
        captioner = ImplicitCaptioner.of(frozen) if recipe.caption == "implicit" else None
        self.trained = Trained(head, captioner, shown, recipe)
        if recipe.supervision == "label":
            self.loss = LabelLoss(head, clip_text(frozen, shown).mean(dim=1))
        else:
            self.loss = CaptionLoss(head)
            nouns = tuple(dict.fromkeys(noun for row in rows for noun in row.nouns))
            self.nouns = dict(zip(nouns, clip_text(frozen, nouns, ("a {}",))[:, 0], strict=True))

    def maps(self, trained: Trained, rows: Sequence[PanopticPicture]) -> list[torch.Tensor]:
        images = as_images([row.image for row in rows])
        return trained.maps(self.frozen, images, [row.caption for row in rows])

    @cached_property
    def kept(self) -> list[torch.Tensor]:
        """The maps of all pictures under the empty caption in float16, one tensor a level."""
        parts = []
        with torch.no_grad():
            for first in tqdm(range(0, len(self.rows), 8), desc="maps", mininterval=5):
                found = self.maps(self.empty, self.rows[first : first + 8])
                parts.append([maps.half() for maps in found])
        return [torch.cat(level) for level in zip(*parts, strict=True)]

    def chosen(self, step: int) -> np.ndarray:
        rng = np.random.default_rng([step, 43])
        return rng.choice(len(self.rows), min(self.recipe.batch, len(self.rows)), replace=False)

    def on_kept(self, step: int) -> dict[str, torch.Tensor]:
        numbers = self.chosen(step)
        maps = [level[torch.from_numpy(numbers)].float() for level in self.kept]
        return self._of(maps, [self.rows[n] for n in numbers])

    def under_caption(self, step: int) -> dict[str, torch.Tensor]:
        rows = [self.rows[n] for n in self.chosen(step + self.recipe.steps)]
        return self._of(self.maps(self.trained, rows), rows)

    def _of(self, maps: list[torch.Tensor], rows: Sequence[PanopticPicture]) -> dict[str, torch.Tensor]:
        masks, labels = zip(*(targets(row, self.trained.seen) for row in rows), strict=True)
        if self.recipe.supervision == "caption":
            labels = [torch.stack([self.nouns[noun] for noun in row.nouns]) for row in rows]
        return {"loss": self.loss(self.trained.head(maps), list(masks), list(labels))}


def shipped(supervision: str, split: int, frozen: Frozen) -> Trained | None:
    """A head that comes with the kit, for the figures model; None where there is none."""
    path = SHIPPED / f"{supervision}-{split}.safetensors"
    return Trained.load(path, frozen) if path.exists() else None
