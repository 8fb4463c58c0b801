"""A model folder of Stable Diffusion 1.5's layout, tiny and with random weights, made on the spot."""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

WORDS = ["a", "man", "with", "red", "shirt", "ball", "dog", "on", "grass"]


def make(folder: Path, *, seed: int = 0, width: int = 32, sample_size: int = 16) -> Path:
    """Write the folder: four U-Net levels, eight heads, a VAE that shrinks eightfold, 1000 noise levels."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    _unet(width, sample_size).save_pretrained(folder / "unet")
    _vae(sample_size).save_pretrained(folder / "vae")
    _scheduler().save_pretrained(folder / "scheduler")
    vocabulary = _tokenizer(folder / "tokenizer")
    _text_encoder(width, len(vocabulary)).save_pretrained(folder / "text_encoder")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.42.1",
        "feature_extractor": [None, None],
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "PNDMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=2))
    return folder


def _unet(width: int, sample_size: int) -> UNet2DConditionModel:
    cross, plain = "CrossAttn", ""
    return UNet2DConditionModel(
        sample_size=sample_size,
        block_out_channels=(16, 16, 32, 32),
        down_block_types=tuple(f"{kind}DownBlock2D" for kind in (cross, cross, cross, plain)),
        up_block_types=tuple(f"{kind}UpBlock2D" for kind in (plain, cross, cross, cross)),
        cross_attention_dim=width,
        attention_head_dim=8,
        norm_num_groups=4,
    )


def _vae(sample_size: int) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=sample_size * 8,
        scaling_factor=0.18215,
    )


def _scheduler() -> PNDMScheduler:
    return PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True
    )


def _tokenizer(folder: Path) -> dict[str, int]:
    """The files of a CLIP tokenizer that knows letters and a few words."""
    folder.mkdir()
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    merges, pieces = [], []
    for word in WORDS:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            merges.append(f"{parts[0]} {parts[1]}")
            parts = [parts[0] + parts[1], *parts[2:]]
            pieces.append(parts[0])
    names = [*letters, *[f"{c}</w>" for c in letters], *pieces, "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {name: i for i, name in enumerate(dict.fromkeys(names))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(dict.fromkeys(merges)) + "\n")
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return vocabulary


def _text_encoder(width: int, words: int) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=words,
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=1,
            num_attention_heads=4,
            max_position_embeddings=77,
            bos_token_id=words - 2,
            eos_token_id=words - 1,
            pad_token_id=words - 1,
        )
    )
