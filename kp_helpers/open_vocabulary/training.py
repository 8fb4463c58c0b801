"""Training a head: first on kept maps of the empty caption, then under the caption that it is to have."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from kp_helpers import store
from kp_helpers.data.panoptic import PanopticPicture, PanopticPictures
from kp_helpers.figures.training.loop import LoopSettings, train
from kp_helpers.open_vocabulary.classify import clip_text
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
    captioned: int = 100
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

    def save(self, path: Path) -> Path:
        """Write it in float16."""
        parts = nn.ModuleDict({"head": self.head} | ({"captioner": self.captioner} if self.captioner else {}))
        tensors = {name: tensor.half() for name, tensor in parts.state_dict().items()}
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
    frozen: Frozen, pictures: PanopticPictures, seen: tuple[str, ...], recipe: Recipe, folder: Path
) -> Trained:
    """Train on the segments of the classes `seen`, others are not shown, and go on where `folder` stopped."""
    if (folder / FINISHED).exists():
        return Trained.load(folder / FINISHED, frozen)
    torch.manual_seed(0)
    empty = Trained(None, None, seen, Recipe(source=recipe.source, caption="empty"))
    with torch.no_grad():
        one = empty.maps(frozen, as_images([pictures.rows[0].image]), [])
    head = Head([maps.shape[1] for maps in one], frozen.clip.network.config.projection_dim)
    loss = _Loss(frozen, pictures, seen, recipe, head, lambda: _kept_maps(empty, frozen, pictures))
    _learn(head, loss.on_kept, recipe.steps, recipe.learning_rate, folder / "head")
    captioner = ImplicitCaptioner.of(frozen) if recipe.caption == "implicit" else None
    trained = Trained(head, captioner, seen, recipe)
    if recipe.captioned:
        parts = nn.ModuleDict({"head": head} | ({"captioner": captioner} if captioner else {}))
        rate, place = recipe.learning_rate / 2, folder / recipe.caption
        _learn(parts, lambda step: loss.under_caption(trained, step), recipe.captioned, rate, place)
    trained.save(folder / FINISHED)
    return Trained.load(folder / FINISHED, frozen)


def _learn(module: nn.Module, loss_at, steps: int, rate: float, folder: Path) -> None:
    """Train in place to the averaged weights."""
    settings = LoopSettings(
        steps, rate, warmup=50, decay=0.25, weight_decay=0.05, averaging=0.99, save_minutes=1
    )
    module.load_state_dict(train(module, loss_at, settings, folder, "cpu").state_dict())


@torch.no_grad()
def _kept_maps(trained: Trained, frozen: Frozen, pictures: PanopticPictures) -> list[torch.Tensor]:
    """The maps of all pictures in float16, one tensor a level."""
    rows, parts = pictures.rows, []
    for first in tqdm(range(0, len(rows), 8), desc="maps", mininterval=5):
        images = as_images([row.image for row in rows[first : first + 8]])
        parts.append([maps.half() for maps in trained.maps(frozen, images, [])])
    return [torch.cat(level) for level in zip(*parts, strict=True)]


class _Loss:
    """The loss of a batch that the step alone chooses."""

    def __init__(
        self,
        frozen: Frozen,
        pictures: PanopticPictures,
        seen: tuple[str, ...],
        recipe: Recipe,
        head: Head,
        kept_maps: Callable[[], list[torch.Tensor]],
    ):
        self.frozen, self.rows, self.seen, self.recipe = frozen, pictures.rows, seen, recipe
        self.head, self.kept_maps = head, kept_maps
        if recipe.supervision == "label":
            self.loss = LabelLoss(head, clip_text(frozen, seen).mean(dim=1))
        else:
            self.loss = CaptionLoss(head)
            phrases = dict.fromkeys(phrase for row in self.rows for phrase in row.phrases)
            self.nouns = {phrase: clip_text(frozen, [phrase], ("a {}",))[0, 0] for phrase in phrases}

    @cached_property
    def kept(self) -> list[torch.Tensor]:
        return self.kept_maps()

    def chosen(self, step: int) -> np.ndarray:
        rng = np.random.default_rng([step, 43])
        return rng.choice(len(self.rows), min(self.recipe.batch, len(self.rows)), replace=False)

    def on_kept(self, step: int) -> dict[str, torch.Tensor]:
        numbers = self.chosen(step)
        maps = [level[torch.from_numpy(numbers)].float() for level in self.kept]
        return self._of(maps, [self.rows[n] for n in numbers])

    def under_caption(self, trained: Trained, step: int) -> dict[str, torch.Tensor]:
        rows = [self.rows[n] for n in self.chosen(step + self.recipe.steps)]
        images = as_images([row.image for row in rows])
        return self._of(trained.maps(self.frozen, images, [row.caption for row in rows]), rows)

    def _of(self, maps: list[torch.Tensor], rows: list[PanopticPicture]) -> dict[str, torch.Tensor]:
        masks, labels = zip(*(targets(row, self.seen) for row in rows), strict=True)
        if self.recipe.supervision == "caption":
            labels = [torch.stack([self.nouns[phrase] for phrase in row.phrases]) for row in rows]
        return {"loss": self.loss(self.head(maps), list(masks), list(labels))}


def shipped(supervision: str, split: int, frozen: Frozen) -> Trained:
    """A head that comes with the kit, for the figures model."""
    return Trained.load(SHIPPED / f"{supervision}-{split}.safetensors", frozen)
