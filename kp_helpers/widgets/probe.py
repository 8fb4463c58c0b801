"""Where a model looks for the words of a caption, without a page; what a pass of the U-Net says is kept."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kp_helpers import attention, randomness
from kp_helpers.attention.shares import mean_shares
from kp_helpers.diffusion import Diffusion

KEPT_PASSES = 8
"""Passes of the U-Net, each of one caption at one noise level, whose logits are kept."""
_WORD_END = "</w>"


class ProbeError(ValueError):
    """A choice that the model does not have; the sentence says what there is."""


@dataclass(frozen=True)
class Word:
    """A word of a caption as the model's tokenizer reads it: its text, and its tokens' places in the context.

    The start and the end token are words too, in angle brackets.
    """

    text: str
    tokens: tuple[int, ...]

    @property
    def name(self) -> str:
        """The text with the place of its first token, which tells a word that stands twice apart."""
        return f"{self.tokens[0]} {self.text}"


def words_of(diffusion: Diffusion, caption: str) -> list[Word]:
    """The words of a caption between the start and the end token, as far as the model reads it."""
    tokenizer = diffusion.tokenizer
    ids = tokenizer(caption, truncation=True).input_ids
    pieces = tokenizer.convert_ids_to_tokens(ids)
    words, own = [Word("<start>", (0,))], []
    for place in range(1, len(ids) - 1):
        own.append(place)
        if pieces[place].endswith(_WORD_END) or place == len(ids) - 2:
            text = tokenizer.decode([ids[place] for place in own]).strip()
            words.append(Word(text, tuple(own)))
            own = []
    return [*words, Word("<end>", (len(ids) - 1,))]


class AttentionProbe:
    """The maps of the words of any caption on one picture, by layer, head and noise level.

    image: (3, S, S) in [0,1], S the model's image size. size: side of the maps in pixels. seed: of the noise,
    the same at every level.
    """

    def __init__(self, diffusion: Diffusion, image: torch.Tensor, *, size: int = 64, seed: int = 0):
        self.diffusion, self.size, self.seed = diffusion, size, seed
        self.layers = attention.cross_attention_layers(diffusion.unet)
        self.last_level = len(diffusion.scheduler.alphas_cumprod) - 1
        self.show(image)

    def show(self, image: torch.Tensor) -> None:
        """Take another picture, (3, S, S) in [0,1]."""
        self._latents = self.diffusion.encode_image(image[None])
        self.image = image
        self._kept: OrderedDict[tuple[str, int], dict[str, torch.Tensor]] = OrderedDict()

    def words(self, caption: str) -> list[Word]:
        """The words of a caption, as `words_of` has them."""
        return words_of(self.diffusion, caption)

    def heads(self, layer: str) -> int:
        """How many heads a layer has."""
        return self.diffusion.unet.get_submodule(self._checked(layer)).heads

    def maps(
        self,
        caption: str,
        words: Sequence[Word],
        *,
        timestep: int,
        layer: str | None = None,
        head: int | None = None,
    ) -> torch.Tensor:
        """The maps of some words of a caption, (len(words), size, size): a word's is the sum of its tokens'.

        timestep: 0 to `last_level`. layer: one of `layers`; None takes the mean over the layers that are
        read, as `attention.attention_maps` does. head: from 0, of that layer; None takes the mean over heads.
        A share of the softmax over all tokens, in [0,1]. ProbeError for a choice that does not exist.
        """
        if not words:
            raise ProbeError("no word is chosen, expected at least one of the caption's")
        names = attention.readout_layers(self.diffusion.unet) if layer is None else (self._checked(layer),)
        self._check_head(layer, head)
        logits = self._logits(caption, timestep)
        heads = slice(None) if head is None else slice(head, head + 1)
        tokens = [token for word in words for token in word.tokens]
        shares = mean_shares([logits[name][:, heads] for name in names], self.size, tokens=tokens)[0]
        return torch.stack([own.sum(dim=0) for own in shares.split([len(word.tokens) for word in words])])

    def _logits(self, caption: str, timestep: int) -> dict[str, torch.Tensor]:
        """Layer -> logits (1, heads, N, h, w) of one pass, from the last few that are kept."""
        if not 0 <= timestep <= self.last_level:
            raise ProbeError(f"noise level is {timestep}, expected 0 to {self.last_level}")
        key = caption, timestep
        if key not in self._kept:
            self._kept[key] = self._passed(caption, timestep)
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT_PASSES:
            self._kept.popitem(last=False)
        return self._kept[key]

    @torch.no_grad()
    def _passed(self, caption: str, timestep: int) -> dict[str, torch.Tensor]:
        noise = randomness.generator(self.seed, "noise", 0)
        noised = self.diffusion.add_noise(self._latents, timestep, noise)
        context = self.diffusion.encode_text([caption])
        pooled = self.diffusion.pool_text([caption]) if self.diffusion.text_encoder_2 is not None else None
        unet = self.diffusion.unet
        return attention.logits(unet, noised, timestep, context, layers=self.layers, pooled=pooled)

    def _checked(self, layer: str) -> str:
        if layer not in self.layers:
            raise ProbeError(f"layer is {layer!r}, expected one of {', '.join(self.layers)}")
        return layer

    def _check_head(self, layer: str | None, head: int | None) -> None:
        if head is None:
            return
        if layer is None:
            raise ProbeError(f"head is {head}, expected a layer with it: heads of different layers differ")
        if not 0 <= head < self.heads(layer):
            raise ProbeError(f"head is {head}, expected 0 to {self.heads(layer) - 1} of {layer}")
