"""Held-out pictures that no training stage has seen: scenes with captions, and one person with its joints and
what the U-Net's features say of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
from tqdm.auto import tqdm

from kp_helpers import attention
from kp_helpers.diffusion import Diffusion
from kp_helpers.figures.captions import Caption, describe
from kp_helpers.figures.pictures import HELD_OUT_SEED, visible_pairs
from kp_helpers.figures.render import Picture, render
from kp_helpers.figures.scene import Scene, draw_scene
from kp_helpers.figures.skeleton import INDEX


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


JOINTS = (
    *("left_foot", "head", "left_elbow", "right_foot", "right_elbow", "left_knee", "right_knee"),
    *("left_hip", "right_hip", "left_shoulder", "right_shoulder", "left_wrist", "right_wrist"),
)
"""The joints that are measured, the three that the kit teaches first."""
_COLUMNS = [INDEX[joint] for joint in JOINTS]


@dataclass(frozen=True)
class Joints:
    """Where the `JOINTS` of n people are: `points` (n, 13, 2) as (x, y) in [0,1], and `visible` (n, 13)."""

    points: torch.Tensor
    visible: torch.Tensor


@dataclass(frozen=True)
class OnePerson:
    """Pictures of one person: scene `seeds` (n), noiseless `latents` (n, 4, h, w), and the joints."""

    seeds: list[int]
    latents: torch.Tensor
    joints: Joints


def one_person_pictures(diffusion: Diffusion, tested: int, shown: int) -> tuple[OnePerson, OnePerson]:
    """Pictures to label and to test on, always the same: the first `tested` are tested on, and as many of the
    following are labelled as it takes to show each joint `shown` times.
    """
    pictures = _draw_one_person()
    test = [next(pictures) for _ in range(tested)]
    labelled, visible = [], np.zeros(len(JOINTS), int)
    while visible.min() < shown:
        labelled.append(next(pictures))
        visible += labelled[-1][1].people[0].visible[_COLUMNS]
    return _encoded(diffusion, labelled), _encoded(diffusion, test)


@torch.no_grad()
def features(diffusion: Diffusion, pictures: OnePerson, timestep: int, size: int) -> Iterator[torch.Tensor]:
    """`attention.linear_features` (C, size, size) of each picture, under no caption and noise of its own."""
    context = diffusion.encode_text([""])[0]
    pairs = zip(pictures.seeds, pictures.latents.split(1), strict=True)
    for seed, latents in tqdm(
        pairs, desc=f"features, t = {timestep}", total=len(pictures.seeds), leave=False
    ):
        noised = diffusion.add_noise(latents, timestep, torch.Generator().manual_seed(seed))
        asked = attention.queries(diffusion.unet, noised, timestep, context)
        yield attention.linear_features(asked, size)[0].cpu()


def _draw_one_person() -> Iterator[tuple[int, Picture]]:
    for seed in count(HELD_OUT_SEED):
        scene = draw_scene(seed)
        if len(scene.people) == 1:
            yield seed, render(scene)


@torch.no_grad()
def _encoded(diffusion: Diffusion, drawn: list[tuple[int, Picture]]) -> OnePerson:
    people = [picture.people[0] for _, picture in drawn]
    height, width = drawn[0][1].image.shape[:2]
    points = np.stack([person.pixels[_COLUMNS] for person in people]) / (width, height)
    visible = np.stack([person.visible[_COLUMNS] for person in people])
    images = (torch.tensor(picture.image).permute(2, 0, 1)[None].float() / 255 for _, picture in drawn)
    latents = torch.cat([diffusion.encode_image(image) for image in images])
    joints = Joints(torch.from_numpy(points).float(), torch.from_numpy(visible))
    return OnePerson([seed for seed, _ in drawn], latents, joints)
