"""Held-out pictures that no training stage has seen, with their scenes and captions."""

from dataclasses import dataclass

import numpy as np

from kp_helpers.figures.captions import Caption, describe
from kp_helpers.figures.pictures import HELD_OUT_SEED, visible_pairs
from kp_helpers.figures.render import Picture, render
from kp_helpers.figures.scene import Scene, draw_scene


@dataclass(frozen=True)
class HeldOut:
    """`count` held-out pictures: `images` (n, 128, 128, 3) uint8, and what is known of each."""

    scenes: list[Scene]
    pictures: list[Picture]
    captions: list[Caption]

    @property
    def images(self) -> np.ndarray:
        return np.stack([picture.image for picture in self.pictures])

    @property
    def texts(self) -> list[str]:
        return [caption.text for caption in self.captions]


def held_out(count: int = 256) -> HeldOut:
    """The first `count` held-out pictures, always the same."""
    scenes = [draw_scene(HELD_OUT_SEED + number) for number in range(count)]
    pictures = [render(scene) for scene in scenes]
    captions = [describe(s, 0, visible_pairs(p)) for s, p in zip(scenes, pictures, strict=True)]
    return HeldOut(scenes, pictures, captions)
