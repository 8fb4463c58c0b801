"""Where a model looks for the words of a caption, by layer, head and noise level."""

import html
import tempfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import ipywidgets as widgets
import torch
from matplotlib.figure import Figure

from kp_helpers import attention
from kp_helpers.config import randomness
from kp_helpers.diffusion import Diffusion
from kp_helpers.diffusion.words import content_words, rival_words
from kp_helpers.notebook import display
from kp_helpers.notebook.kit.attend import fitted, word_maps
from kp_helpers.notebook.kit.pictures import sample_of
from kp_helpers.widgets.without_kernel import Control, png

_ALL_LAYERS, _ALL_HEADS = "", -1
"""What the choosers hold for the means: a page shows nothing for a choice that is None."""


class AttentionExplorer(Control):
    """Where the model looks for words of a caption; the maps follow the controls.

    A word's map is its share of a softmax over the caption's words and those of `words.BESIDE`, as `attend`
    has it. picture: of any kind that `pictures` takes. words: those of the caption that are followed at
    first, by their text; the last word where left out. timestep: the noise level at first, None for the
    model's own. seed: of the noise.
    """

    def __init__(
        self,
        diffusion: Diffusion,
        picture,
        caption: str,
        words: Sequence[str] = (),
        *,
        timestep: int | None = None,
        seed: int = 0,
    ):
        self.diffusion, self.seed, self._acting = diffusion, seed, False
        self.take(picture)
        self._make_controls(caption, diffusion.default_timestep if timestep is None else timestep)
        self._offer_words(words)
        self._offer_heads()
        self._follow()
        self._observe()

    def take(self, picture) -> None:
        """Go on with another picture."""
        self.image = fitted(self.diffusion, sample_of(picture).image())
        self._latents = self.diffusion.encode_image(self.image[None])
        self._queries = lru_cache(8)(self._asked)  # the last noise levels cost no pass

    @torch.no_grad()
    def maps(self) -> dict[str, torch.Tensor]:
        """Name -> map (h, w) of each chosen word, and their sum where they are several."""
        if not self.words.value:
            raise ValueError("no word is chosen, expected at least one of the caption's")
        every = [word for _, word in self.words.options]
        layers = [self.layer.value] if self.layer.value else attention.readout_layers(self.diffusion.unet)
        asked = [query for query in self._queries(self.level.value) if query.layer in layers]
        size = tuple(2 * side for side in self._latents.shape[2:])
        head = None if self.head.value == _ALL_HEADS else self.head.value
        rivals = rival_words(self.diffusion, every)
        shares = word_maps(self.diffusion, asked, every, rivals, size, head).cpu()
        found = {f"{w.place} {w.text}": shares[every.index(w)] for w in self.words.value}
        return found | ({"their sum": sum(found.values())} if len(found) > 1 else {})

    def figure(self) -> Figure:
        """The picture and the maps over it, under the choices that they were made with."""
        maps = {f"{name}, up to {own.max():.2f}": own for name, own in self.maps().items()}
        title = f"noise level {self.level.value}, {self.layer.label}"
        title += "" if self.head.value == _ALL_HEADS else f", {self.head.label}"
        return display.heat_maps(self.image.cpu(), maps, columns=3, side=1.8, title=title)

    def _asked(self, timestep: int) -> list[attention.Query]:
        """What all layers ask of the picture, under an empty caption."""
        noise = randomness.generator(self.seed, "noise", 0)
        noised = self.diffusion.add_noise(self._latents, timestep, noise)
        empty, unet = self.diffusion.encode_text([""])[0], self.diffusion.unet
        return attention.queries(unet, noised, timestep, empty, layers=attention.cross_attention_layers(unet))

    def _make_controls(self, caption: str, timestep: int) -> None:
        wide, unet = widgets.Layout(width="290px"), self.diffusion.unet
        self.caption = widgets.Text(caption, description="caption", continuous_update=False, layout=wide)
        self.words = widgets.SelectMultiple(description="words", rows=7, layout=wide)
        layers = {"mean of the read layers": _ALL_LAYERS}
        layers |= {_short(name): name for name in attention.cross_attention_layers(unet)}
        self.layer = widgets.Dropdown(options=layers, description="layer", layout=wide)
        self.head = widgets.Dropdown(options=[("mean", _ALL_HEADS)], description="head", layout=wide)
        last = len(self.diffusion.scheduler.alphas_cumprod) - 1
        self.level = widgets.IntSlider(timestep, min=0, max=last, description="noise level", layout=wide)
        self.upload = widgets.FileUpload(accept="image/*", description="your own picture", layout=wide)
        self.message = widgets.HTML(layout=wide)
        self.picture = widgets.Image(format="png", layout=widgets.Layout(object_fit="contain"))
        choices = [self.caption, self.words, self.layer, self.head, self.level, self.upload, self.message]
        column = widgets.VBox(choices, layout=widgets.Layout(flex="0 0 300px"))
        self.controls = widgets.HBox([column, self.picture])

    def _observe(self) -> None:
        for control in (self.words, self.head, self.level):
            control.observe(lambda _: self._follow(), "value")
        changes = {
            self.caption: lambda: self._offer_words([word.text for word in self.words.value]),
            self.layer: self._offer_heads,
            self.upload: self._take_upload,
        }
        for control, act in changes.items():
            control.observe(lambda _, act=act: self._follow(act), "value")

    def _follow(self, act: Callable[[], None] = lambda: None) -> None:
        """Show the maps of the choices after `act`, or the sentence that says why there are none."""
        if self._acting:  # what `act` changes in other controls is shown once, at its end
            return
        self._acting, said = True, ""
        try:
            act()
            self.picture.value = png(self.figure())
        except (ValueError, OSError, MemoryError) as error:
            said = f"<b>{html.escape(str(error))}</b>"
        finally:
            self._acting = False
            self.message.value = said

    def _offer_words(self, wanted: Sequence[str]) -> None:
        """The caption's words as choices, of which those with a wanted text are chosen, else the last."""
        words = content_words(self.diffusion, self.caption.value)
        self.words.options = [(f"{word.place} {word.text}", word) for word in words]
        self.words.value = [word for word in words if word.text in wanted] or words[-1:]

    def _offer_heads(self) -> None:
        unet, layer = self.diffusion.unet, self.layer.value
        heads = range(unet.get_submodule(layer).heads if layer else 0)
        self.head.options = [("mean", _ALL_HEADS), *((f"head {number}", number) for number in heads)]

    def _take_upload(self) -> None:
        files = self.upload.value
        if isinstance(files, dict):  # ipywidgets 7, which Colab has
            files = [{"name": name, **file} for name, file in files.items()]
        for uploaded in files:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / Path(uploaded["name"]).name
                file.write_bytes(uploaded["content"])
                self.take(file)


def _short(layer: str) -> str:
    """A layer's name without what all of them share: up_blocks.1.attentions.0... -> up_blocks.1.0."""
    block, _, within = layer.partition(".transformer_blocks.")
    number = within.partition(".")[0]
    return block.replace(".attentions", "") + (f", {number}" if number != "0" else "")
