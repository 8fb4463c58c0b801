"""The joint's maps on fixed pictures, looked at again and again while its tokens change."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from kp_helpers import attention, geometry, heatmaps, metrics
from kp_helpers.config import TestTime
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import Appended
from kp_helpers.evaluate import Framed
from kp_helpers.reading import (
    combine,
    joint_map,
    noised_views,
    queries,
    read_appended,
    read_keypoints,
    timestep_of,
    view_of_test,
)
from kp_helpers.stages.readout_cache import ReadoutView


@dataclass(frozen=True, eq=False)
class Sight:
    """What is seen on some pictures: maps (n, S, S), S = map_size, and points (n, 2) as (x, y) in [0,1]."""

    maps: torch.Tensor
    points: torch.Tensor


class Watcher:
    """`read_appended` and `read_keypoints` for pictures (n, 3, H, W) in [0,1] that stay the same.

    In read-out mode the U-Net sees the base (N, D) alone, so it sees each picture once for each test-time
    setting; in coupled mode, and where mirror images are read too, it sees them all every time.
    """

    def __init__(self, diffusion: Diffusion, base: torch.Tensor, images: torch.Tensor):
        self.diffusion, self.base, self.images = diffusion, base, images
        self._settings: TestTime | None = None
        self._kept: tuple[torch.Tensor, ReadoutView] | None = None

    @torch.no_grad()
    def look(self, appended: Appended, settings: TestTime) -> Sight:
        """The maps and the points that a test with these settings finds."""
        level = timestep_of(self.diffusion, settings.reading)
        # the same noise level by another name is not asked for twice
        settings = settings.replace(reading=settings.reading.replace(timestep=level))
        if appended.mode == "coupled" or settings.mirror:
            fine = read_appended(self.diffusion, appended, self.images, settings)
        else:
            fine = self._read(appended, settings)
        maps = F.interpolate(fine[:, None], size=(settings.reading.map_size,) * 2, mode="nearest-exact")[:, 0]
        return Sight(maps.cpu(), read_keypoints(fine, settings).cpu())

    def _read(self, appended: Appended, settings: TestTime) -> torch.Tensor:
        """Test-time maps (n, R, R), R = read_size, from what the U-Net said before."""
        asked = settings.replace(read_size=settings.reading.map_size)  # the U-Net does not know the read size
        if asked != self._settings:
            self._kept, self._settings = self._ask(asked), asked
        thetas, kept = self._kept
        unet, given = self.diffusion.unet, {"size": settings.reading.map_size, "rivals": kept.rivals}
        if appended.readout == "spatial":
            joint = joint_map(self.diffusion, appended, kept.queries, settings.reading)[:, None]
        else:
            found = attention.maps_from_queries(unet, kept.queries, appended.tokens, **given)
            joint = combine(found, appended.readout, appended.best)[:, None]
        fine = F.interpolate(joint, size=(settings.read_size,) * 2, mode="bilinear", align_corners=False)
        if settings.views == 1:
            return fine[:, 0]
        pairs = zip(fine.split(settings.views), thetas.to(fine).split(settings.views), strict=True)
        return torch.cat([heatmaps.average_views(own, theta) for own, theta in pairs])

    def _ask(self, settings: TestTime) -> tuple[torch.Tensor, ReadoutView]:
        """The views (n V, 2, 3), and queries and rivals under the base in all of them, asked one by one."""
        unet, size = self.diffusion.unet, settings.reading.map_size
        every = [(image, view) for image in range(len(self.images)) for view in range(settings.views)]
        thetas = torch.cat([view_of_test(settings, *one) for one in every])
        asked, rivals = [], []
        for which, theta in zip(every, thetas, strict=True):
            shown = geometry.warp(self.images[which[0]][None], theta[None])
            latents = noised_views(self.diffusion, shown, [which], settings)
            asked.append(queries(self.diffusion, latents, self.base, settings.reading))
            rivals.append(attention.rival_sums(unet, asked[-1], self.base, size=size))
        joined = [
            attention.Query(layer[0].layer, torch.cat([query.values for query in layer]))
            for layer in zip(*asked, strict=True)
        ]
        return thetas, ReadoutView(joined, [torch.cat(layer) for layer in zip(*rivals, strict=True)])


def hits(test: Framed, points: torch.Tensor, joint: str) -> tuple[list[bool], int, int]:
    """Which test pictures are hit, within 1/48 of the frame's long side, how many of them, and of how many.

    points: (n, 2) in [0,1] of the squares. A picture that does not show the joint is no hit and not counted.
    """
    found = [
        sample.visible[joint] and bool(metrics.within(point, sample.joints[joint], sample.frame_size))
        for sample, point in zip(test.samples, test.in_frames(points), strict=True)
    ]
    return found, sum(found), sum(sample.visible[joint] for sample in test.samples)
