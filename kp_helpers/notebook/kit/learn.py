"""`discover` and `teach`: keypoints from pictures alone, and a keypoint of your choice from a few labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure

from kp_helpers import config, embeddings, stages
from kp_helpers.config import BaseStage, Profile, TestTime
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import Appended, EmbeddingError
from kp_helpers.notebook.kit.find import Found, find
from kp_helpers.notebook.kit.pictures import Pictures
from kp_helpers.predict import Reader
from kp_helpers.results import project_path

SHIPPED_BASE = "results/02_stable_keypoints/reference/embedding.safetensors"
"""The base of the figures model that comes with the checkout, from notebook 02."""
RANDOM_TOKENS = 100
"""Of a base that nobody learned, where none is given and the shipped one is of another model."""


@dataclass(frozen=True, repr=False)
class Taught:
    """A keypoint that was taught. appended: its tokens; settings: they were learned with; base: where its
    base tokens are from.
    """

    model: Diffusion
    joint: str
    appended: Appended
    settings: Profile
    base: str

    def __repr__(self) -> str:
        count = len(self.appended.tokens)
        what = "a fit" if self.appended.readout == "linear" else f"{count} tokens"
        return f"<{self.joint}: {what} beside the base of {self.base}, model {self.model.name}>"

    def reader(self) -> Reader:
        """What `find` reads it with."""
        return Reader(self.model, [self.joint], self.settings.test, [self.appended])

    def find(self, shots: Pictures) -> Found:
        """The keypoint on pictures, as `find` has it."""
        return find(self, shots)

    def save(self, path: str | Path) -> Path:
        """Write one safetensors file, which `find` and `python -m kp_helpers.predict` read."""
        about = stages.metadata(self.model, self.settings.appended)
        about |= {"joint": self.joint, "best": self.appended.best}
        return embeddings.save(path, self.appended.tensors(), about)


@dataclass(frozen=True, repr=False)
class Discovered:
    """Unsupervised keypoints: base (N, D), the whole context, and the tokens of it that are keypoints."""

    model: Diffusion
    base: torch.Tensor
    tokens: torch.Tensor
    settings: BaseStage

    def __repr__(self) -> str:
        found = f"{len(self.tokens)} keypoints among {len(self.base)} tokens"
        return f"<{found}, model {self.model.name}>"

    def reader(self) -> Reader:
        """What `find` reads them with."""
        names = [f"keypoint {number}" for number in range(len(self.tokens))]
        return Reader(self.model, names, TestTime(reading=self.settings.reading), self.base, self.tokens)

    def find(self, shots: Pictures) -> Found:
        """The keypoints on pictures, as `find` has it."""
        return find(self, shots)

    def save(self, path: str | Path) -> Path:
        """Write one safetensors file, which `teach` takes as `base`."""
        tensors = {"base": self.base, "selected_tokens": self.tokens.cpu()}
        return embeddings.save(path, tensors, stages.metadata(self.model, self.settings))

    def show(self, shots: Pictures) -> Figure:
        """The keypoints on the first pictures."""
        return self.find(shots[:10]).show()


def discover(
    model: Diffusion,
    shots: Pictures,
    keypoints: int = 10,
    *,
    steps: int = 120,
    tokens: int = 100,
    seed: int = 0,
) -> Discovered:
    """Keypoints that move with what is seen, from pictures without labels (StableKeypoints).

    Random tokens (N, D) are optimised until the maps of some are single blobs that follow the picture; the
    `keypoints` chosen most often over the pictures are kept. The paper takes 500 tokens and steps; a step of
    the figures model takes about a second on a CPU.

    >>> discover(load("figures"), shots, 10).show(shots)
    """
    settings = config.profile("quick", seed=seed).base.replace(steps=steps, tokens=tokens)
    framed = shots.framed(model.image_size)
    stage = stages.BaseTokens(model, framed.images, settings, inside=framed.inside)
    learned = stages.finished(stage, about="discover")
    chosen = stages.select_tokens(model, learned, framed.images, settings, keypoints, framed.inside)
    return Discovered(model, learned, chosen, settings)


def teach(
    model: Diffusion,
    shots: Pictures,
    joint: str,
    points: Sequence | None = None,
    *,
    base: Discovered | str | Path | None = None,
    preset: str = "best",
    steps: int | None = None,
    seed: int = 0,
) -> Taught:
    """A keypoint of your choice, from a few labelled pictures; no weight of the model changes.

    shots: five or so, or more. joint: its name; points: (n, 2) as (x, y) in pixels of each picture, unless
    they are labelled. preset: "best", the kit's recipe, which needs neither base nor steps, or "paper". base:
    what `discover` returned, or a file of notebook 02; else the one that is shipped for the figures model,
    and random tokens for others.

    >>> foot = teach(load("figures"), shots[:5], "left foot", points)
    >>> foot.find(shots).show()
    """
    settings = config.profile("quick", seed=seed, preset=preset)
    if steps is not None:
        settings = settings.replace(appended=settings.appended.replace(steps=steps))
    framed = shots.labelled(joint, points).framed(model.image_size)
    stage, where = settings.appended, framed.points(joint)
    tokens, origin = base_of(model, base, seed)
    if stage.base == "caption":
        origin = "an empty caption"
    about, inside = f"teach {joint}", framed.inside
    learned = stages.learn(model, tokens, framed.images, where, stage, inside=inside, about=about)
    return Taught(model, joint, learned, settings, origin)


def base_of(model: Diffusion, base: Discovered | str | Path | None, seed: int) -> tuple[torch.Tensor, str]:
    """Base tokens (N, D) on the model's device, and where they are from."""
    if isinstance(base, Discovered):
        return base.base, "discovered"
    known = {"fingerprint": model.fingerprint, "width": model.context_width}
    if base is not None:
        return embeddings.load(base, **known)[0]["base"].to(model.device), str(base)
    try:
        tensors = embeddings.load(project_path(SHIPPED_BASE), **known)[0]
        return tensors["base"].to(model.device), SHIPPED_BASE
    except EmbeddingError:  # of another model, or no checkout
        tokens = embeddings.initialise(RANDOM_TOKENS, model.context_width, seed)
        return tokens.to(model.device), f"{RANDOM_TOKENS} random tokens"
