"""Square windows of pictures round a point, which a failed approach of Schofield compares."""

import torch
import torch.nn.functional as F


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
