"""Folders with a tiny CLIP and a tiny YOLOS of random weights, as transformers writes them."""

import json
from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPModel, YolosConfig, YolosForObjectDetection

MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
"""Of the published CLIPs."""
SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def make_clip(folder: Path, words: int = 20, longest: int = 8) -> Path:
    """A CLIP that sees 32 x 32 pixels, with embeddings of 12 numbers.

    words, longest: of its text tower's tokenizer, whose last two words are the start and the end.
    """
    torch.manual_seed(0)
    ends = {"bos_token_id": words - 2, "eos_token_id": words - 1, "pad_token_id": words - 1}
    text = {**SMALL, "vocab_size": words, "max_position_embeddings": longest, **ends}
    vision = {**SMALL, "image_size": 32, "patch_size": 8}
    return _saved(CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)), folder)


def make_detector(folder: Path) -> Path:
    """A YOLOS with 7 boxes, its weights large enough that they differ."""
    torch.manual_seed(0)
    shape = {"image_size": [32, 48], "patch_size": 8, "num_detection_tokens": 7, "num_labels": 3}
    network = YolosForObjectDetection(YolosConfig(**SMALL, **shape))
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return _saved(network, folder)


def _saved(network: torch.nn.Module, folder: Path) -> Path:
    network.save_pretrained(folder)
    pixels = {"image_mean": MEAN, "image_std": STD}
    (folder / "preprocessor_config.json").write_text(json.dumps(pixels))
    return folder
