"""The controls round an `AttentionProbe`: caption, words, layer, head, noise level, one's own picture."""

import html
import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import ipywidgets as widgets
import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from kp_helpers.data import DataError
from kp_helpers.data.images import read_image
from kp_helpers.diffusion import Diffusion
from kp_helpers.geometry import frame_square
from kp_helpers.notebook import display
from kp_helpers.results import project_path
from kp_helpers.widgets.probe import AttentionProbe, Word
from kp_helpers.widgets.still import Still, lines

_MEAN_LAYER, _MEAN_HEAD = "", -1
"""What the choosers hold for the means: a page shows nothing for a choice that is None."""
SIDE = 176
"""Pixels of a shown map; maps of 64 are enlarged to it smoothly."""


class AttentionExplorer(Still):
    """Where the model looks for words of a caption; the maps follow the controls.

    diffusion: a loaded model. image: (3, S, S) in [0,1], S its image size. words: those of the caption that
    are followed at first, by their text; the last word where left out. timestep: the noise level
    at first, None for the model's own. size, seed: as for `AttentionProbe`, which is at `probe`.
    """

    def __init__(
        self,
        diffusion: Diffusion,
        image: torch.Tensor,
        caption: str,
        words: Sequence[str] = (),
        *,
        timestep: int | None = None,
        size: int = 64,
        seed: int = 0,
    ):
        self.probe, self._acting = AttentionProbe(diffusion, image, size=size, seed=seed), False
        self._make_controls(caption, diffusion.default_timestep if timestep is None else timestep)
        self._offer_words(words)
        self._offer_heads()
        self._follow()
        self._observe()

    def panels(self) -> dict[str, np.ndarray]:
        """Title -> picture (SIDE, SIDE, 3) uint8: the image, each chosen word's map on it, and their sum."""
        words, maps = self._maps()
        found = {f"{word.name}, up to {own.max():.2f}": own for word, own in zip(words, maps, strict=True)}
        if len(words) > 1:
            found[f"their sum, up to {maps.sum(dim=0).max():.2f}"] = maps.sum(dim=0)
        image = self.probe.image
        return {"the image": _enlarged(image)} | {name: overlaid(image, own) for name, own in found.items()}

    def figure(self) -> Figure:
        """What the panels show, under the choices that they were made with."""
        panels = self.panels()
        layer = (
            self.layer.label if self.head.value == _MEAN_HEAD else f"{self.layer.label}, {self.head.label}"
        )
        title = f"noise level {self.level.value}, {layer}"
        return display.pictures(panels.values(), list(panels), columns=6, title=title)

    def take(self, path: Path, name: str) -> None:
        """Go on with a picture of one's own, letterboxed; DataError, with `name`, if it cannot be read."""
        try:
            whole = read_image(path, rotation="apply")
        except DataError as error:
            raise DataError(str(error).replace(str(path), name)) from None
        square = frame_square((whole.shape[2], whole.shape[1]), "letterbox")
        self.probe.show(square.crop(whole, self.probe.diffusion.image_size).clamp(0, 1))

    def _maps(self) -> tuple[list[Word], torch.Tensor]:
        words = list(self.words.value)
        layer = None if self.layer.value == _MEAN_LAYER else self.layer.value
        head = None if self.head.value == _MEAN_HEAD else self.head.value
        choice = {"timestep": self.level.value, "layer": layer, "head": head}
        return words, self.probe.maps(self.caption.value, words, **choice).cpu()

    def _make_controls(self, caption: str, timestep: int) -> None:
        wide = widgets.Layout(width="290px")
        self.caption = widgets.Text(caption, description="caption", continuous_update=False, layout=wide)
        self.words = widgets.SelectMultiple(description="words", rows=7, layout=wide)
        layers = {"mean of the read layers": _MEAN_LAYER} | {_short(name): name for name in self.probe.layers}
        self.layer = widgets.Dropdown(options=layers, description="layer", layout=wide)
        self.head = widgets.Dropdown(options={"mean": _MEAN_HEAD}, description="head", layout=wide)
        limits = {"min": 0, "max": self.probe.last_level}
        self.level = widgets.IntSlider(timestep, **limits, description="noise level", layout=wide)
        self.path = widgets.Text(
            description="picture", placeholder="path of your own", continuous_update=False, layout=wide
        )
        self.upload = widgets.FileUpload(accept="image/*", description="or upload one")
        self.message = widgets.HTML(layout=wide)
        self._panels = widgets.Box(layout=widgets.Layout(flex_flow="row wrap", flex="1 1 auto"))
        choices = [self.caption, self.words, self.layer, self.head, self.level, self.path, self.upload]
        column = widgets.VBox([*choices, self.message], layout=widgets.Layout(flex="0 0 300px"))
        self.controls = widgets.HBox([column, self._panels])

    def _observe(self) -> None:
        for control in (self.words, self.head, self.level):
            control.observe(lambda _: self._follow(), "value")
        self._when(self.caption, lambda: self._offer_words([word.text for word in self.words.value]))
        self._when(self.layer, self._offer_heads)
        self._when(self.path, self._take_path)
        self._when(self.upload, self._take_upload)

    def _when(self, control: widgets.Widget, action: Callable[[], None]) -> None:
        """On a new value act and follow, or say why not."""
        control.observe(lambda _: self._follow(action), "value")

    def _follow(self, action: Callable[[], None] = lambda: None) -> None:
        """Show the maps of the choices after `action`, or the sentence that says why there are none."""
        if self._acting:  # what an action changes in other controls is shown once, behind it
            return
        self._acting = True
        try:
            action()
            self._panels.children = [_panel(*panel) for panel in self.panels().items()]
            self.message.value = lines()
        except (ValueError, OSError, MemoryError) as error:
            self.message.value = lines(f"<b>{html.escape(str(error))}</b>")
        finally:
            self._acting = False

    def _offer_words(self, wanted: Sequence[str]) -> None:
        """The caption's words as choices, of which those with a wanted text are chosen, else the last."""
        words = self.probe.words(self.caption.value)
        chosen = [word for word in words[1:-1] if word.text in wanted] or words[-2:-1]
        self.words.options = [(word.name, word) for word in words]
        self.words.value = chosen

    def _offer_heads(self) -> None:
        count = 0 if self.layer.value == _MEAN_LAYER else self.probe.heads(self.layer.value)
        self.head.options = [("mean", _MEAN_HEAD), *((f"head {number}", number) for number in range(count))]

    def _take_path(self) -> None:
        if self.path.value:
            self.take(project_path(self.path.value), self.path.value)

    def _take_upload(self) -> None:
        for uploaded in self.upload.value:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "uploaded"
                file.write_bytes(uploaded["content"])
                self.take(file, uploaded["name"])


def overlaid(image: torch.Tensor, heat_map: torch.Tensor) -> np.ndarray:
    """A map (H, W) over the grey image (3, S, S), (SIDE, SIDE, 3) uint8, coloured from its minimum to its
    maximum as `display.heat` does.
    """
    lowest, highest = float(heat_map.min()), float(heat_map.max())
    share = _resized((heat_map - lowest) / max(highest - lowest, 1e-12))[..., None]
    grey = 0.35 + 0.65 * _resized(image.mean(dim=0))[..., None]
    colour = matplotlib.colormaps[display.HEAT](share[..., 0])[..., :3]
    opaque = 0.15 + 0.75 * share
    return (255 * ((1 - opaque) * grey + opaque * colour)).round().clip(0, 255).astype(np.uint8)


def _resized(values: torch.Tensor) -> np.ndarray:
    """(H, W) in [0,1] as (SIDE, SIDE), bilinear."""
    picture = Image.fromarray(values.float().numpy())
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR)).clip(0, 1)


def _enlarged(image: torch.Tensor) -> np.ndarray:
    return (255 * np.stack([_resized(channel) for channel in image], axis=-1)).round().astype(np.uint8)


def _panel(title: str, pixels: np.ndarray) -> widgets.VBox:
    """A picture with its title, which is text whatever it holds."""
    picture = io.BytesIO()
    Image.fromarray(pixels).save(picture, "PNG")
    shown = widgets.Image(value=picture.getvalue(), width=SIDE, height=SIDE)
    return widgets.VBox([widgets.HTML(html.escape(title)), shown])


def _short(layer: str) -> str:
    """A layer's name without what all of them share: up_blocks.1.attentions.0... -> up_blocks.1.0."""
    block, _, within = layer.partition(".transformer_blocks.")
    number = within.partition(".")[0]
    return block.replace(".attentions", "") + (f", {number}" if number != "0" else "")
