"""How far bfloat16 in the U-Net moves the attention maps, against float32, on the same latents.

Queries, logits and maps are float32 in both. Figures: pictures of the exported world under a learned base
embedding. sd15: random weights and a random context, whose maps are flatter than a real model's.
"""

import argparse
import json
import sys
from pathlib import Path

import torch

from benchmarks import shapes
from kp_helpers import attention, embeddings
from kp_helpers.diffusion import Diffusion
from kp_helpers.figures.held_out import held_out
from kp_helpers.keypoints import argmax_keypoints
from kp_helpers.store import replace_file

BASE = Path("results/02_stable_keypoints/reference/embedding.safetensors")
_SIZE, _PICTURES = 128, 16


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift", description=__doc__)
    parser.add_argument("--shape", choices=shapes.SHAPES, default="figures", help="whose U-Net (figures)")
    parser.add_argument("--device", default="cpu", help="where it runs (cpu)")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where the numbers go")
    options = parser.parse_args(arguments)
    content = {"shape": options.shape, "device": options.device, **drift(options.shape, options.device)}
    print(json.dumps(content, indent=1))
    replace_file(options.json, lambda partial: partial.write_text(json.dumps(content, indent=1) + "\n"))
    return 0


@torch.no_grad()
def drift(shape: str, device: str) -> dict[str, float]:
    """Largest and mean difference of the maps, and how far their maxima move in pixels of 128."""
    model = shapes.load(shape, device)
    context, latents = _figures(model) if shape == "figures" else _random(model)
    both = [
        torch.cat(
            [
                attention.attention_maps(
                    model.unet, one[None], model.default_timestep, context, size=_SIZE, precision=precision
                )
                for one in latents
            ]
        )
        for precision in attention.PRECISIONS
    ]
    moved = _SIZE * (argmax_keypoints(both[0]) - argmax_keypoints(both[1])).norm(dim=-1)
    difference = (both[0] - both[1]).abs()
    return {
        "maps": moved.numel(),
        "largest_value": float(both[0].max()),
        "largest_difference": float(difference.max()),
        "mean_difference": float(difference.mean()),
        "maximum_moved_mean_px": float(moved.mean()),
        "maximum_moved_median_px": float(moved.median()),
        "maximum_moved_largest_px": float(moved.max()),
        "maxima_moved_over_2_px": float((moved > 2).float().mean()),
    }


def _figures(model: Diffusion) -> tuple[torch.Tensor, torch.Tensor]:
    tensors, _ = embeddings.load(BASE, fingerprint=model.fingerprint, width=model.context_width)
    images = torch.from_numpy(held_out(_PICTURES).images).permute(0, 3, 1, 2).float() / 255
    generator = torch.Generator().manual_seed(0)
    latents = model.add_noise(model.encode_image(images), model.default_timestep, generator)
    return tensors["base"].to(model.device), latents


def _random(model: Diffusion) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    side = model.unet.config.sample_size
    context = torch.randn(500, model.context_width, generator=generator)
    return context.to(model.device), torch.randn(1, 4, side, side, generator=generator).to(model.device)


if __name__ == "__main__":
    sys.exit(main())
