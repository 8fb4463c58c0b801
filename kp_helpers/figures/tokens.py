"""The words of the figures world as a CLIP tokenizer: every word of a caption is one token."""

import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from kp_helpers.figures.lexicon import CONTEXT_LENGTH, START, lexicon


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
