"""Two networks that look at pictures and are no part of the diffusion model: a CLIP and a detector.

Both come from a folder or hub id of transformers' layout, checked like a model folder, and are frozen.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from transformers import CLIPModel, YolosForObjectDetection

from kp_helpers.diffusion import FIGURES, load_network, model_folder, weights
from kp_helpers.diffusion.model_folder import NETWORK_CONFIGS, NETWORK_WEIGHTS, ModelError


@dataclass(frozen=True)
class Pixels:
    """How a network wants its pictures: square of `size` pixels, minus `mean`, over `std`, (3, 1, 1) each."""

    size: int
    mean: torch.Tensor
    std: torch.Tensor

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W) in [0,1] of any size, as the network takes them."""
        if images.shape[-2:] != (self.size, self.size):
            side = (self.size, self.size)
            images = F.interpolate(images, side, mode="bilinear", align_corners=False, antialias=True)
        return (images - self.mean) / self.std


@dataclass(frozen=True)
class Clip:
    """A CLIP, of which only the image tower is asked. pixels.size: side of the pictures that it sees.

    revision: the commit that a hub id was resolved to, else None.
    """

    network: CLIPModel
    pixels: Pixels
    revision: str | None = None

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """Embeddings (B, D) of length 1 of images (B, 3, H, W) in [0,1]; a gradient passes to the images."""
        seen = self.network.vision_model(pixel_values=self.pixels(images)).pooler_output
        return F.normalize(self.network.visual_projection(seen), dim=-1)


@dataclass(frozen=True)
class Detector:
    """A detector of things, transformers' YOLOS; `revision` as for `Clip`."""

    network: YolosForObjectDetection
    pixels: Pixels
    revision: str | None = None

    @torch.no_grad()
    def boxes(self, image: torch.Tensor, least: float = 0.5) -> torch.Tensor:
        """What it finds in an image (3, H, W) in [0,1], surest first: (n, 4) as x0, y0, x1, y1 in [0,1].

        least: the probability from which on a thing counts. The image is squashed to a square for it.
        """
        found = self.network(pixel_values=self.pixels(image[None]))
        sure = found.logits[0].softmax(dim=-1)[:, :-1].amax(dim=-1)  # the last class is "nothing"
        order = [int(i) for i in sure.argsort(descending=True) if sure[i] >= least]
        centre, extent = found.pred_boxes[0, order].split(2, dim=-1)
        return torch.cat([centre - extent / 2, centre + extent / 2], dim=-1)


def load_clip(model: str | Path, device: str = "cpu") -> Clip:
    """A CLIP: "figures", which is shipped with the kit, a folder, or a hub id."""
    folder = FIGURES / "clip" if str(model) == "figures" else model
    return Clip(*_load(CLIPModel, folder, device, "a CLIP folder of transformers"))


def load_detector(model: str | Path, device: str = "cpu") -> Detector:
    """A YOLOS from a folder or a hub id."""
    return Detector(*_load(YolosForObjectDetection, model, device, "a YOLOS folder of transformers"))


def window_side(boxes: torch.Tensor, point: torch.Tensor, otherwise: float) -> float:
    """The longer side of the smallest of the boxes (n, 4) that hold the point (2,), or `otherwise`; in [0,1].

    A window of it round the point shows as much as the thing that the point lies on is large.
    """
    inside = ((boxes[:, :2] <= point) & (point <= boxes[:, 2:])).all(dim=-1)
    extents = boxes[inside, 2:] - boxes[inside, :2]
    if not len(extents):
        return otherwise
    return float(extents[extents.prod(dim=-1).argmin()].max())


def _load(
    kind: type, model: str | Path, device: str, expected: str
) -> tuple[torch.nn.Module, Pixels, str | None]:
    """A network, frozen, how it wants its pictures, and its revision. Raises ModelError, whose sentence names
    the file.
    """
    folder, revision = model_folder.locate(model, [NETWORK_WEIGHTS, *NETWORK_CONFIGS], expected)
    place, settings = model_folder.check_network(folder)
    network = load_network(kind, place, weights.find(place, "network"))
    network.requires_grad_(False).eval().to(device)
    side = getattr(network.config, "vision_config", network.config).image_size
    scale = [
        _of_channels(folder / NETWORK_CONFIGS[1], settings, name, device)
        for name in ("image_mean", "image_std")
    ]
    return network, Pixels(side if isinstance(side, int) else min(side), *scale), revision


def _of_channels(path: Path, settings: dict, name: str, device: str) -> torch.Tensor:
    """A setting of three numbers, one a channel, (3, 1, 1)."""
    value = settings.get(name)
    if not (isinstance(value, list) and len(value) == 3 and all(isinstance(v, (int, float)) for v in value)):
        raise ModelError(f"{path}: {name} is {value!r}, expected three numbers, one a channel")
    return torch.tensor(value, dtype=torch.float32, device=device)[:, None, None]


def crop(images: torch.Tensor, centres: torch.Tensor, side: float | torch.Tensor, size: int) -> torch.Tensor:
    """The square windows (B, C, size, size) of images (B, C, H, W) round centres (B, 2), bilinear.

    centres: (x, y) in [0,1]. side: of a window as a fraction of the image's, one or (B,). A gradient passes
    to the centres, as none does through a crop by whole pixels. What lies outside the image is zero.
    """
    if centres.shape != (len(images), 2):
        raise ValueError(f"crop: centres have shape {tuple(centres.shape)}, expected ({len(images)}, 2)")
    side = torch.as_tensor(side, dtype=images.dtype, device=images.device).expand(len(images))
    if not (side > 0).all():
        raise ValueError(f"crop: side is {side.min():g}, expected a fraction of the image above 0")
    scale = side[:, None, None] * torch.eye(2, dtype=images.dtype, device=images.device)
    theta = torch.cat([scale, (2 * centres - 1).to(images)[..., None]], dim=2)
    grid = F.affine_grid(theta, [*images.shape[:2], size, size], align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def told_apart(joint: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """How often a joint's crop in picture a is more like its crop in b than like other crops of b, (P, P).

    joint: embeddings (P, D) of length 1, one a picture. others: (P, K, D), of other places in each picture.
    Row a, column b holds the share of the K crops that are less alike, ties by half: 0.5 is chance, and the
    mean over all pairs is the area under the ROC curve of crops of one picture. NaN where a is b.
    """
    if others.ndim != 3 or others.shape[::2] != joint.shape:
        found = f"{tuple(joint.shape)} and {tuple(others.shape)}"
        raise ValueError(f"told_apart: joint and others have shapes {found}, expected (P, D) and (P, K, D)")
    same, other = joint @ joint.T, torch.einsum("ad,bkd->abk", joint, others)
    shares = ((same[..., None] > other).float() + (same[..., None] == other).float() / 2).mean(dim=-1)
    return shares.fill_diagonal_(torch.nan)
