"""Every word that a caption, or an instruction to change a picture, can hold; and a tokenizer of them."""

import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from kp_helpers.figures.captions import FACING_WORDS, LONGEST, MOTION_WORDS
from kp_helpers.figures.limb_states import LIMB_WORDS
from kp_helpers.figures.palette import COLOURS, GROUNDS
from kp_helpers.figures.scene import CLOTHES, LIMBS, THINGS

CONTEXT_LENGTH = LONGEST + 2
"""Tokens of a caption, start and end included."""
START, END = 254, 255
"""What stands for the start and the end token where captions are places in the lexicon."""
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
    "bare",
]
_INSTRUCTIONS = (
    "make",
    "turn",
    "change",
    "paint",
    "replace",
    "add",
    "remove",
    "put",
    "give",
    "into",
    "it",
    "by",
)
"""No caption holds them, but a model that is taught to follow instructions needs each as one token."""


def lexicon() -> list[str]:
    """All words: those of captions, sorted, then those of instructions."""
    words = {*COLOURS, *GROUNDS, *THINGS, *CLOTHES, *_OTHER_WORDS}
    groups = (FACING_WORDS.values(), LIMBS, *MOTION_WORDS.values(), *LIMB_WORDS.values())
    for phrase in (phrase for group in groups for phrase in group):
        words.update(phrase.split())
    return [*sorted(words), *_INSTRUCTIONS]


def token_numbers(tokenizer: CLIPTokenizer) -> np.ndarray:
    """(256,) int64: the token of each place in the lexicon, of START and of END."""
    numbers = np.full(256, tokenizer.eos_token_id)
    numbers[START] = tokenizer.bos_token_id
    words = lexicon()
    numbers[: len(words)] = [tokenizer(word).input_ids[1] for word in words]
    return numbers


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
