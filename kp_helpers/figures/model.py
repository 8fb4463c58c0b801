"""The small model as a folder: where it is, how it is put together from trained parts, samples of it."""

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer

from kp_helpers.diffusion import FIGURES, Diffusion
from kp_helpers.store import replace_file

SETTINGS_FILE = "keypoint_kit.json"
PIXELS = {
    "image_processor_type": "CLIPImageProcessor",
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "size": {"height": 128, "width": 128},
    "do_center_crop": False,
}
"""How the two CLIPs take a picture, in transformers' words; `training.clip.to_pixels` does it."""


def text_tower(clip: CLIPModel) -> CLIPTextModel:
    """The text encoder of a trained CLIP as a model of its own, frozen."""
    tower = CLIPTextModel(clip.config.text_config)
    tower.load_state_dict(clip.text_model.state_dict())
    return tower.eval().requires_grad_(False)


def assemble(folder: Path, vae, unet, text_encoder, tokenizer, scheduler) -> None:
    """Write a Stable Diffusion pipeline folder in float16."""
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(dtype=torch.float16).save_pretrained(folder, safe_serialization=True)
    _load_in_float32(folder / "text_encoder" / "config.json")


def add_clips(folder: Path, clip: CLIPModel, judge: CLIPModel) -> None:
    """Write the two CLIPs beside the parts of a pipeline folder, in float16."""
    for part, network in (("clip", clip), ("judge", judge)):
        network.half().save_pretrained(folder / part)
        (folder / part / "preprocessor_config.json").write_text(json.dumps(PIXELS, indent=2) + "\n")
        _load_in_float32(folder / part / "config.json")


def _load_in_float32(config: Path) -> None:
    """Let transformers enlarge float16 weights when it loads them, as diffusers does by itself."""
    settings = json.loads(config.read_text())
    for group in (settings, settings.get("text_config", {}), settings.get("vision_config", {})):
        group["dtype"] = "float32"
    config.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")


def set_default_timestep(timestep: int, folder: Path = FIGURES) -> None:
    """Write the noise level at which the model's attention is read unless told otherwise."""
    text = json.dumps({"timestep": timestep}) + "\n"
    replace_file(folder / SETTINGS_FILE, lambda partial: partial.write_text(text))


def load_clip(part: str = "clip", folder: Path = FIGURES) -> tuple[CLIPModel, CLIPTokenizer]:
    """The CLIP whose text tower the U-Net's began as ("clip"), or the one from another seed ("judge"); those
    of the shipped model where `folder` has none, as the plain twin's.
    """
    folder = folder if (folder / part).is_dir() else FIGURES
    clip = CLIPModel.from_pretrained(folder / part, local_files_only=True, use_safetensors=True)
    return clip.eval(), CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)


def pipeline_of(diffusion: Diffusion) -> StableDiffusionPipeline | StableDiffusionXLPipeline:
    """A loaded model as diffusers knows it, of the same components, with a DDIM sampler."""
    schedule = DDIMScheduler.from_config(diffusion.scheduler.config, clip_sample=False)
    parts = {name: getattr(diffusion, name) for name in ("vae", "unet", "tokenizer", "text_encoder")}
    if diffusion.text_encoder_2 is None:
        rest = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
        return StableDiffusionPipeline(**parts, **rest, scheduler=schedule)
    second = {name: getattr(diffusion, name) for name in ("tokenizer_2", "text_encoder_2")}
    zeros = diffusion.zeros_when_empty
    return StableDiffusionXLPipeline(
        **parts, **second, scheduler=schedule, force_zeros_for_empty_prompt=zeros, add_watermarker=False
    )


def generate(
    diffusion: Diffusion, captions: list[str], seed: int = 0, steps: int = 40, guidance: float = 4.0
) -> np.ndarray:
    """Pictures (n, H, W, 3) uint8 of captions, as large as the model's training pictures, the same for the
    same seed.
    """
    pipeline = pipeline_of(diffusion)
    pipeline.set_progress_bar_config(desc="samples")
    generators = [torch.Generator().manual_seed(seed * 10_000 + number) for number in range(len(captions))]
    out = pipeline(
        captions, num_inference_steps=steps, guidance_scale=guidance, generator=generators, output_type="np"
    )
    return np.round(out.images * 255).astype(np.uint8)
