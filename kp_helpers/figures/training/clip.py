"""Stage 2: a contrastive CLIP; its text tower is what the U-Net's begins as."""

from dataclasses import replace

import numpy as np
import torch
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from kp_helpers.figures.lexicon import CONTEXT_LENGTH
from kp_helpers.figures.pictures import Pictures
from kp_helpers.figures.training.loop import LoopSettings

SETTINGS = LoopSettings(steps=1000, learning_rate=1e-3, weight_decay=0.05, averaging=0.998)
JUDGE_SETTINGS = replace(SETTINGS, steps=700)
BATCH = {"cpu": 64, "cuda": 512}
WIDTH = 128
CROPPED = 0.4
"""Share of a batch that are crops of one thing with a short caption."""


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


def clip_loss(clip: CLIPModel, tokenizer, pictures: Pictures, device: str, seed: int):
    """`loss_at(step)`: the symmetric cross-entropy between pictures and captions, some of them crops.

    Every picture stands beside its mirror image, whose caption has the sides exchanged: what tells the two
    apart is nothing but left and right.
    """
    images, batch = torch.from_numpy(pictures.images).to(device), BATCH[device]

    def loss_at(step: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng([step, 2, seed])
        rows, boxes, texts = zip(*(_drawn(pictures, rng) for _ in range(batch // 2)), strict=True)
        pixels = cut(images[torch.tensor(rows, device=device)], torch.tensor(boxes, device=device))
        pixels = torch.cat([pixels, pixels.flip(-1)])
        tokens = tokenize(tokenizer, [*texts, *map(exchange_sides, texts)]).to(device)
        out = clip(input_ids=tokens, pixel_values=pixels)
        # Two crops may rightly have the same caption: both then count as right.
        same = (tokens[:, None] == tokens[None]).all(dim=-1).float()
        target = same / same.sum(1, keepdim=True)
        losses = [
            torch.nn.functional.cross_entropy(x, target) for x in (out.logits_per_image, out.logits_per_text)
        ]
        hit = (out.logits_per_image.argmax(1) == torch.arange(batch, device=device)).float().mean()
        return {"loss": sum(losses) / 2, "top1": hit}

    return loss_at


def to_pixels(images: np.ndarray) -> torch.Tensor:
    """(n, 3, 128, 128) float32 in [-1, 1] of uint8 pictures (n, 128, 128, 3)."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def cut(images: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """The squares `boxes` (n, 4), x0, y0, x1, y1 in pixels, of pictures (n, 128, 128, 3) uint8, each enlarged
    to (n, 3, 128, 128) float32 in [-1, 1].
    """
    side = images.shape[1]
    place = (torch.arange(side, device=images.device) + 0.5) / side
    low, high = boxes[:, :2].float(), boxes[:, 2:].float()
    x, y = ((low + place[:, None, None] * (high - low)) * 2 / side - 1).unbind(-1)
    grid = torch.stack(torch.broadcast_tensors(x.T[:, None], y.T[:, :, None]), dim=-1)
    pixels = images.permute(0, 3, 1, 2).float() / 127.5 - 1
    return torch.nn.functional.grid_sample(pixels, grid, padding_mode="border", align_corners=False)


def exchange_sides(text: str) -> str:
    """A caption with "left" and "right" exchanged, as it fits the picture in a mirror."""
    sides = {"left": "right", "right": "left"}
    return " ".join(sides.get(word, word) for word in text.split(" "))


def _drawn(pictures: Pictures, rng: np.random.Generator) -> tuple[int, tuple[int, int, int, int], str]:
    """Number of a picture, the box of one of its things or of all of it, and the caption that fits."""
    number = int(rng.integers(len(pictures.images)))
    crops = pictures.crops[number]
    if crops and rng.random() < CROPPED:
        text, box = crops[int(rng.integers(len(crops)))]
        return number, tuple(box), text
    captions = pictures.captions[number][:-1]  # the last is a short one, which fits many pictures
    return number, (0, 0, 128, 128), captions[int(rng.integers(len(captions)))]
