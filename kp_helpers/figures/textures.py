"""Faint brightness patterns for grounds, walls and cloth, always the same for the same seed."""

from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter

TEXTURES = ("none", "grass", "sand", "road", "water", "wall", "cloth")
_SIDE = 384


@lru_cache(maxsize=1)
def _tiles() -> np.ndarray:
    """(7, 384, 384) float32 factors round 1, one tile a texture, in picture pixels times three."""
    rng = np.random.default_rng(5)
    noise = rng.standard_normal((3, _SIDE, _SIDE))

    def soft(index, sigma):
        field = gaussian_filter(noise[index], sigma, mode="wrap")
        return field / field.std()

    row, column = np.mgrid[:_SIDE, :_SIDE]
    bricks = ((row % 48) < 4) | (((column + 48 * (row // 48 % 2)) % 96) < 4)
    waves = np.sin(2 * np.pi * (row / 32 + 0.15 * soft(1, 24)))
    cloth = soft(2, 9)
    fields = {
        "grass": 0.07 * soft(0, (7, 3)),
        "sand": 0.035 * soft(1, 4),
        "road": 0.04 * soft(2, 3),
        "water": 0.07 * waves,
        "wall": 0.02 * soft(0, 12) - 0.1 * bricks,
        "cloth": 0.035 * cloth,
    }
    return np.stack([1 + fields.get(name, np.zeros((_SIDE, _SIDE))) for name in TEXTURES]).astype(np.float32)


def texture_field(kinds: np.ndarray, seed: int, supersampling: int) -> np.ndarray:
    """(H, W) float32 factors for a canvas of texture numbers; the seed moves the tiles."""
    height, width = kinds.shape
    down, right = np.random.default_rng([seed, 3]).integers(0, _SIDE, 2)
    rows = ((np.arange(height) * 3 // supersampling + down) % _SIDE)[:, None]
    columns = ((np.arange(width) * 3 // supersampling + right) % _SIDE)[None]
    return _tiles()[kinds, rows, columns]
