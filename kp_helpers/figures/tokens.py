"""The words of the figures world as a CLIP tokenizer: every word of a caption is one token."""

import json
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from kp_helpers.figures.captions import FACING_WORDS, LONGEST, MOTION_WORDS
from kp_helpers.figures.palette import COLOURS, GROUNDS
from kp_helpers.figures.scene import CLOTHES, THINGS

CONTEXT_LENGTH = LONGEST + 2
"""Tokens of a caption, start and end included."""
_OTHER_WORDS = [
    "a",
    "an",
    "the",
    "person",
    "people",
    "someone",
    "two",
    "with",
    "wearing",
    "in",
    "dressed",
    "is",
    "and",
    "seen",
    "viewed",
    "beside",
    "next",
    "to",
    "near",
    "on",
    "under",
    "before",
    "front",
    "of",
    "skin",
    "sky",
    "wall",
    ",",
    ".",
    "photo",
    "picture",
]


def lexicon() -> list[str]:
    """Every word that a caption can hold, sorted."""
    words = {*COLOURS, *GROUNDS, *THINGS, *CLOTHES, *_OTHER_WORDS}
    for phrase in (*FACING_WORDS.values(), *(word for words_ in MOTION_WORDS.values() for word in words_)):
        words.update(phrase.split())
    return sorted(words)


def build_tokenizer(folder: Path) -> CLIPTokenizer:
    """Write a byte-pair tokenizer whose merges make each word of the lexicon one token, and load it."""
    byte_pairs = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    byte_pairs.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=4000, initial_alphabet=sorted(alphabet), end_of_word_suffix="</w>", show_progress=False
    )
    byte_pairs.train_from_iterator(lexicon(), trainer)
    merges = json.loads(byte_pairs.to_str())["model"]["merges"]
    symbols = sorted(alphabet)
    words = symbols + [symbol + "</w>" for symbol in symbols] + ["".join(pair) for pair in merges]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    tokenizer = CLIPTokenizer(
        vocab=vocabulary, merges=[tuple(pair) for pair in merges], model_max_length=CONTEXT_LENGTH
    )
    tokenizer.save_pretrained(folder)
    return CLIPTokenizer.from_pretrained(folder)
