"""What a stage is shown: every training image as it is and as a random view of it, encoded and noised, and
labels that are where they can be.
"""

import torch

from kp_helpers import geometry, randomness
from kp_helpers.config import AppendedStage, BaseStage
from kp_helpers.diffusion import Diffusion
from kp_helpers.heatmaps import inside_mask
from kp_helpers.reading import random_view, timestep_of


class TrainingViews:
    """The plain and the transformed view of a run's training images as noised latents.

    A plain image is encoded once. pool: how many transformed views of an image there are, each with its own
    noise and encoded once; 0 draws a new one in every step. inside: the part of each square that shows its
    picture, (n, 4) as (x0, y0, x1, y1) in [0,1], None where there are no bars.
    """

    def __init__(
        self,
        diffusion: Diffusion,
        images: torch.Tensor,
        settings: BaseStage | AppendedStage,
        pool: int,
        inside: torch.Tensor | None = None,
    ):
        self.diffusion, self.images, self.settings, self.pool = diffusion, images, settings, pool
        self.timestep = timestep_of(diffusion, settings.reading)
        self._masks = inside_mask(inside, settings.reading.map_size)
        self._encoded: dict[tuple[int, ...], torch.Tensor] = {}

    def __len__(self) -> int:
        return len(self.images)

    def view(self, step: int) -> int:
        """The number of the view that a step sees."""
        return step % self.pool if self.pool else step

    def theta(self, image: int, view: int) -> torch.Tensor:
        """The affine view (1, 2, 3)."""
        return random_view(self.settings.augmentation, self.settings.seed, "view", view, image)

    def inside(self, image: int, theta: torch.Tensor | None = None) -> torch.Tensor | None:
        """Which pixels of a map of the plain view, or of the view theta (1, 2, 3), show the picture, bool
        (S, S); None for all.
        """
        if self._masks is None or theta is None:
            return None if self._masks is None else self._masks[image]
        return geometry.warp(self._masks[image][None, None].float(), theta.cpu())[0, 0] > 0.5

    def noise_keys(self, image: int, view: int) -> tuple:
        """What the noise of both views follows from, the arguments of `randomness.generator`."""
        return self.settings.seed, "noise", view, image

    def latents(self, image: int, view: int) -> torch.Tensor:
        """Noised latents (2, C, h, w), plain then transformed."""
        picture = self.images[image][None]
        if (image,) not in self._encoded:
            self._encoded[image,] = self.diffusion.encode_image(picture)
        moved = self._encoded.get((image, view))
        if moved is None:
            moved = self.diffusion.encode_image(geometry.warp(picture, self.theta(image, view)))
        if self.pool:
            self._encoded[image, view] = moved
        both = torch.cat([self._encoded[image,], moved])
        noise = randomness.generator(*self.noise_keys(image, view))
        return self.diffusion.add_noise(both, self.timestep, noise)


def checked_points(points: torch.Tensor, images: int) -> torch.Tensor:
    """Labels (n, 2) as float32; a ValueError if they are not one (x, y) in [0,1] for each image."""
    points = torch.as_tensor(points, dtype=torch.float32)
    if points.shape != (images, 2):
        raise ValueError(
            f"points have shape {tuple(points.shape)}, expected ({images}, 2), one joint an image"
        )
    inside = (points >= 0) & (points <= 1)
    if not inside.all():
        image = int((~inside).any(dim=1).nonzero()[0])
        raise ValueError(f"points: image {image} has {points[image].tolist()}, expected (x, y) in [0,1]")
    return points
