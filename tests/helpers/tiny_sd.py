"""Model folders of Stable Diffusion's families, tiny and with random weights, made on the spot.

"sd15", "sd2" and "sdxl" have the published models' settings but for the numbers of channels, heads, layers
and words.
"""

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

WORDS = ["a", "man", "with", "red", "shirt", "ball", "dog", "on", "grass"]
FAMILIES = ("sd15", "sd2", "sdxl")
POOLED, TIMES = 12, 8
"""Widths of SDXL's pooled caption and of each of its six sizes and offsets."""
_BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def make(
    folder: Path, *, family: str = "sd15", seed: int = 0, width: int = 32, sample_size: int = 16
) -> Path:
    """Write the folder: a VAE that shrinks eightfold, 1000 noise levels, a context `width` wide."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    _unet(family, width, sample_size).save_pretrained(folder / "unet")
    _vae(family, sample_size).save_pretrained(folder / "vae")
    scheduler = _scheduler(family)
    scheduler.save_pretrained(folder / "scheduler")
    for part, encoder in _text_encoders(family, width).items():
        _tokenizer(folder / part.replace("text_encoder", "tokenizer"), _padding(family, part))
        encoder.save_pretrained(folder / part)
    index = _index(family, type(scheduler).__name__)
    (folder / "model_index.json").write_text(json.dumps(index, indent=2))
    return folder


def _index(family: str, scheduler: str) -> dict:
    index = {
        "_class_name": "StableDiffusionXLPipeline" if family == "sdxl" else "StableDiffusionPipeline",
        "_diffusers_version": "0.42.1",
        "feature_extractor": [None, None],
        "scheduler": ["diffusers", scheduler],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    if family != "sdxl":
        return index | {"safety_checker": [None, None]}
    return index | {
        "force_zeros_for_empty_prompt": True,
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
    }


def _unet(family: str, width: int, sample_size: int) -> UNet2DConditionModel:
    cross, plain = "CrossAttn", ""
    levels = (plain, cross, cross) if family == "sdxl" else (cross, cross, cross, plain)
    own = {
        "sd15": {"attention_head_dim": 8, "block_out_channels": (16, 16, 32, 32)},
        "sd2": {
            "attention_head_dim": [2, 2, 4, 4],
            "block_out_channels": (16, 16, 32, 32),
            "use_linear_projection": True,
            "upcast_attention": True,
        },
        "sdxl": {
            "attention_head_dim": [2, 4, 4],
            "block_out_channels": (16, 32, 32),
            "transformer_layers_per_block": [1, 2, 3],
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": TIMES,
            "projection_class_embeddings_input_dim": POOLED + 6 * TIMES,
        },
    }
    return UNet2DConditionModel(
        sample_size=sample_size,
        down_block_types=tuple(f"{kind}DownBlock2D" for kind in levels),
        up_block_types=tuple(f"{kind}UpBlock2D" for kind in reversed(levels)),
        cross_attention_dim=width,
        norm_num_groups=4,
        **own[family],
    )


def _vae(family: str, sample_size: int) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=sample_size * 8,
        scaling_factor=0.13025 if family == "sdxl" else 0.18215,
    )


def _scheduler(family: str):
    if family == "sd2":
        return DDIMScheduler(**_BETAS, prediction_type="v_prediction", clip_sample=False)
    if family == "sdxl":
        return EulerDiscreteScheduler(**_BETAS, timestep_spacing="leading")
    return PNDMScheduler(**_BETAS, skip_prk_steps=True)


def _padding(family: str, part: str) -> str:
    """OpenCLIP's text encoders, of Stable Diffusion 2 and the second of XL, fill up with another token."""
    return "!" if family == "sd2" or part == "text_encoder_2" else "<|endoftext|>"


def _tokenizer(folder: Path, padding: str) -> None:
    """The files of a CLIP tokenizer that knows letters and a few words."""
    folder.mkdir()
    vocabulary, merges = _words()
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        "do_lower_case": True,
        "pad_token": padding,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def _words() -> tuple[dict[str, int], list[str]]:
    """The tokens with their numbers, and the pairs that are joined."""
    letters = ["!", *(chr(c) for c in range(ord("a"), ord("z") + 1))]
    merges, pieces = [], []
    for word in WORDS:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            merges.append(f"{parts[0]} {parts[1]}")
            parts = [parts[0] + parts[1], *parts[2:]]
            pieces.append(parts[0])
    names = [*letters, *[f"{c}</w>" for c in letters], *pieces, "<|startoftext|>", "<|endoftext|>"]
    return {name: i for i, name in enumerate(dict.fromkeys(names))}, list(dict.fromkeys(merges))


def _text_encoders(family: str, width: int) -> dict[str, torch.nn.Module]:
    if family == "sd15":
        return {"text_encoder": CLIPTextModel(_text_config(width, 1))}
    if family == "sd2":  # OpenCLIP without its last layer, and with the other activation
        return {"text_encoder": CLIPTextModel(_text_config(width, 3, hidden_act="gelu"))}
    narrow = 3 * width // 8  # in one file the two are told apart by their widths
    second = _text_config(width - narrow, 3, hidden_act="gelu", projection_dim=POOLED)
    return {
        "text_encoder": CLIPTextModel(_text_config(narrow, 2)),
        "text_encoder_2": CLIPTextModelWithProjection(second),
    }


def _text_config(width: int, layers: int, **more) -> CLIPTextConfig:
    words = len(_words()[0])
    return CLIPTextConfig(
        vocab_size=words,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=77,
        bos_token_id=words - 2,
        eos_token_id=words - 1,
        pad_token_id=words - 1,
        **more,
    )
