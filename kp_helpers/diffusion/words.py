"""The words of a caption as tokens of the model, and the words that compete with them for a picture."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from kp_helpers.diffusion.model import Diffusion

BESIDE = "a person with hair dressed in a shirt, trousers and shoes on grass in front of a wall under the sky"
"""What the words that are asked for compete with."""
FUNCTION_WORDS = {
    *("a", "an", "the", "and", "or", "with", "in", "on", "of", "at", "to", "by", "from", "under", "beside"),
    *("front", "next", "dressed", ",", "."),
}
"""Words that name nothing: neither their maps nor they as rivals count."""
_WORD_END = "</w>"


@dataclass(frozen=True, eq=False)
class Word:
    """A word of a caption: its text, its first token's place in it, and its tokens' embeddings (n, D)."""

    text: str
    place: int
    tokens: torch.Tensor

    @property
    def span(self) -> slice:
        """The places of its tokens in the caption's context."""
        return slice(self.place, self.place + len(self.tokens))


def content_words(model: Diffusion, caption: str, after: int = 0) -> list[Word]:
    """The words of a caption that name something, all of them where none does, as far as the model reads it.

    after: how many of its first words are left out. ValueError if no word is left.
    """
    words = caption_words(model, caption)[after:]
    named = [word for word in words if word.text not in FUNCTION_WORDS] or words
    if not named:
        raise ValueError(f"{caption!r} holds no word that the model reads, expected one to look for")
    return named


def rival_words(model: Diffusion, asked_for: Iterable[Word], beside: str = BESIDE) -> list[Word]:
    """The words of `beside` that are not asked for: a word that competes with none has the whole picture."""
    texts = {word.text for word in asked_for}
    return [word for word in content_words(model, beside) if word.text not in texts]


def word_of(model: Diffusion, caption: str, text: str) -> Word:
    """The word of the caption that is written so, the first of several; ValueError if there is none."""
    words, asked = caption_words(model, caption), caption_words(model, text)
    found = [word for word in words if [word.text] == [one.text for one in asked]]
    if not found:
        listed = ", ".join(word.text for word in words)
        raise ValueError(f"word is {text!r}, expected one word of the caption: {listed}")
    return found[0]


def caption_words(model: Diffusion, caption: str) -> list[Word]:
    """All words between the start and the end token, as far as the model reads the caption."""
    ids = model.tokenizer(caption, truncation=True).input_ids
    pieces = model.tokenizer.convert_ids_to_tokens(ids)
    context = model.encode_text([caption])[0]
    words, first, last = [], 1, len(ids) - 1
    for place in range(1, last):
        if pieces[place].endswith(_WORD_END) or place == last - 1:
            text = model.tokenizer.decode(ids[first : place + 1]).strip()
            words.append(Word(text, first, context[first : place + 1]))
            first = place + 1
    return words
