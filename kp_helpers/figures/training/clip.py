"""Stage 2: a contrastive CLIP; its text tower conditions the U-Net."""

from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from kp_helpers.figures.pictures import Pictures
from kp_helpers.figures.tokens import CONTEXT_LENGTH
from kp_helpers.figures.training.loop import LoopSettings

SETTINGS = LoopSettings(steps=1000, learning_rate=1e-3, weight_decay=0.05, averaging=0.998)
JUDGE_SETTINGS = replace(SETTINGS, steps=700)
BATCH, WIDTH = 64, 128
CROPPED, VISION_CROPPED = 0.3, 0.7
"""Share of a batch that are crops of one thing with a short caption, in the two stages."""
VISION_SETTINGS = LoopSettings(steps=400, learning_rate=6e-4, weight_decay=0.05, averaging=0.998)


def new_clip(tokenizer: CLIPTokenizer) -> CLIPModel:
    """An untrained CLIP: a text tower of two layers, 128 wide, and a vision tower of 64 patches."""
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": CONTEXT_LENGTH,
        "pad_token_id": tokenizer.pad_token_id,
        **ends,
    }
    vision = {
        "hidden_size": 144,
        "intermediate_size": 576,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "image_size": 128,
        "patch_size": 16,
    }
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=WIDTH))


def tokenize(tokenizer: CLIPTokenizer, texts: list[str]) -> torch.Tensor:
    """Token numbers (n, 64) of captions, padded as Stable Diffusion's pipeline pads them."""
    rows = tokenizer(texts, padding="max_length", max_length=CONTEXT_LENGTH, truncation=True)
    return torch.tensor(rows.input_ids)


def clip_loss(clip: CLIPModel, tokenizer, pictures: Pictures, device: str, seed: int, cropped: float):
    """`loss_at(step)`: the symmetric cross-entropy between pictures and captions, `cropped` of them crops."""

    def loss_at(step: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng([step, 2, seed])
        pairs = [_pair(pictures, rng, cropped) for _ in range(BATCH)]
        pixels = to_pixels(np.stack([image for image, _ in pairs])).to(device)
        tokens = tokenize(tokenizer, [text for _, text in pairs]).to(device)
        out = clip(input_ids=tokens, pixel_values=pixels)
        # Two crops may rightly have the same caption: both then count as right.
        same = torch.tensor([[a == b for _, b in pairs] for _, a in pairs], device=device).float()
        target = same / same.sum(1, keepdim=True)
        losses = [
            torch.nn.functional.cross_entropy(x, target) for x in (out.logits_per_image, out.logits_per_text)
        ]
        hit = (out.logits_per_image.argmax(1) == torch.arange(BATCH, device=device)).float().mean()
        return {"loss": sum(losses) / 2, "top1": hit}

    return loss_at


def to_pixels(images: np.ndarray) -> torch.Tensor:
    """(n, 3, 128, 128) float32 in [-1, 1] of uint8 pictures (n, 128, 128, 3)."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def crop(image: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """The square `box` of a picture, enlarged to 128 x 128."""
    return np.asarray(Image.fromarray(image).crop(tuple(box)).resize((128, 128), Image.Resampling.BILINEAR))


def _pair(pictures: Pictures, rng: np.random.Generator, cropped: float) -> tuple[np.ndarray, str]:
    number = int(rng.integers(len(pictures.images)))
    image, crops = pictures.images[number], pictures.crops[number]
    if crops and rng.random() < cropped:
        text, box = crops[int(rng.integers(len(crops)))]
        return crop(image, box), text
    captions = pictures.captions[number]
    if rng.random() < 0.5:
        image = image[:, ::-1]
    return np.ascontiguousarray(image), captions[int(rng.integers(len(captions)))]
