"""`discover` and `teach`: keypoints from pictures alone, and one of your choice from a few labels; `find`:
both on pictures, with scores, in pixels of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from kp_helpers import config, embeddings, reading, stages
from kp_helpers.config import BaseStage, Profile, TestTime
from kp_helpers.data import write_coco
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import Appended, EmbeddingError
from kp_helpers.keypoints import hit_probability, runner_up
from kp_helpers.notebook import display
from kp_helpers.notebook.kit.pictures import Pictures
from kp_helpers.predict import Reader, opened
from kp_helpers.reading import read_keypoints
from kp_helpers.results import project_path
from kp_helpers.store import replace_file


@dataclass(frozen=True, repr=False)
class Found:
    """Keypoints on pictures.

    table: picture, keypoint, x, y (pixels of the picture) and score: `keypoints.hit_probability`, that the
    point is within a twentieth of the picture. It was fitted for `teach`'s preset "best" on the figures
    world; of other keypoints and models it ranks pictures, and is no probability.
    """

    shots: Pictures
    table: pd.DataFrame

    def __repr__(self) -> str:
        return self.table.drop(columns="number").round(2).to_string(index=False)

    def points(self) -> list[dict[str, tuple[float, float]]]:
        """Of each picture its keypoints, name -> (x, y) in pixels of it."""
        found: list[dict] = [{} for _ in self.shots]
        for row in self.table.itertuples():
            found[row.number][row.keypoint] = (row.x, row.y)
        return found

    def show(self, count: int = 10) -> Figure:
        """The first pictures with their keypoints."""
        few, size = self.shots[:count], 256
        framed = few.framed(size)
        names = list(dict.fromkeys(self.table["keypoint"]))
        pairs = list(zip(framed.squares, self.points(), strict=False))
        places = {n: torch.stack([square.to_square(own[n]) for square, own in pairs]) for n in names}
        if len(names) > len(display.COLOURS):
            each = torch.stack(list(places.values()), dim=1)
            return display.numbered(framed.images, each)
        return display.keypoints(framed.images, places)

    def to_csv(self, path: str | Path) -> Path:
        """Write the table."""
        shown = self.table.drop(columns="number")
        return replace_file(Path(path), lambda partial: shown.to_csv(partial, index=False))

    def to_coco(self, path: str | Path) -> Path:
        """Write COCO's JSON, one annotation a picture, its score the mean; of pictures of a folder only."""
        if self.shots.root is None:
            raise ValueError("these pictures are of no folder, expected those of pictures(FOLDER) for COCO")
        scores = self.table.groupby("number")["score"].mean().tolist()
        return write_coco(path, self.shots.samples, self.points(), self.shots.root, scores)


@torch.no_grad()
def find(
    keypoint: "Taught | Discovered | str | Path", shots: Pictures, model: Diffusion | None = None
) -> Found:
    """A keypoint that was taught, or those that were discovered, on pictures of any size.

    keypoint: also the file that its `save` wrote; then model is the one that it was learned on.

    >>> foot.find(shots).to_csv("feet.csv")
    >>> find("foot.safetensors", shots, load("figures")).show()
    """
    if isinstance(keypoint, str | Path):
        if model is None:
            raise ValueError(f"{keypoint}: model is None, expected the model that it was learned on")
        reader = opened(model, Path(keypoint))
    else:
        model, reader = keypoint.model, keypoint.reader()
    rows = []
    for number in tqdm(range(len(shots)), desc="find", unit="picture"):
        framed = shots[number : number + 1].framed(model.image_size)
        maps = reader.maps(framed.images)
        points = read_keypoints(maps, reader.settings).cpu()
        sure = hit_probability(runner_up(maps.cpu(), points)).tolist()
        for name, place, score in zip(reader.names, points, sure, strict=True):
            x, y = framed.squares[0].to_frame(place.double()).tolist()
            about = {"number": number, "picture": shots[number].name, "keypoint": name}
            rows.append({**about, "x": x, "y": y, "score": score})
    return Found(shots, pd.DataFrame(rows))


SHIPPED_BASE = "results/02_stable_keypoints/reference-quick/embedding.safetensors"
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
        return Reader(self.model, [self.joint], self.settings.test, self.appended)

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
    stage = config.profile("quick", seed=seed).base.replace(steps=steps, tokens=tokens)
    images = shots.framed(model.image_size).images
    learned = stages.finished(stages.BaseTokens(model, images, stage), about="discover")
    chosen = reading.select_tokens(model, learned, images, stage, keypoints)
    return Discovered(model, learned, chosen, stage)


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
    learned = stages.learn(model, tokens, framed.images, where, stage, about=f"teach {joint}")
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
