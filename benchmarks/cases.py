"""What is timed: each case is a job of the method, in the plain formulation or in one of the kit's modes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F

from benchmarks import plain
from kp_helpers import attention, geometry, heatmaps, losses, reading
from kp_helpers.config import AppendedStage, Augmentation, Reading, TestTime
from kp_helpers.diffusion import Diffusion
from kp_helpers.stages import AppendedTokens, Run

BASE, APPENDED, CHOSEN, VIEWS = 500, 100, 10, 10
MAP, READ = 128, 512
THIRD_STAGE = {"steps": 100, "ratio": APPENDED / BASE, "images_per_step": 5, "augmentation_pool": 2}
COUPLED_STEPS = 2
_LABELLED = 5
PRECISIONS = ("float32", "tf32", "bfloat16")
_VIEW = torch.tensor([[[0.85, 0.1, 0.1], [-0.1, 0.85, -0.05]]])


@dataclass(frozen=True)
class Setup:
    """A model and inputs of its size: two noised latents, images, a random context of 500 tokens."""

    model: Diffusion

    @cached_property
    def images(self) -> torch.Tensor:
        side = self.model.image_size
        return torch.rand(_LABELLED, 3, side, side, generator=torch.Generator().manual_seed(1))

    @cached_property
    def latents(self) -> torch.Tensor:
        side = self.model.unet.config.sample_size
        return torch.randn(2, 4, side, side, generator=torch.Generator().manual_seed(2)).to(self.model.device)

    def context(self, tokens: int = BASE) -> torch.Tensor:
        shape, generator = (tokens, self.model.context_width), torch.Generator().manual_seed(3)
        return torch.randn(shape, generator=generator).to(self.model.device)

    @property
    def layers(self) -> tuple[str, ...]:
        return attention.readout_layers(self.model.unet)

    @property
    def conditions(self) -> dict[str, torch.Tensor] | None:
        """What SDXL's U-Net takes beside the context, as for an empty caption."""
        if self.model.unet.config.addition_embed_type is None:
            return None
        zeros = {"text_embeds": torch.zeros(1, 1280), "time_ids": torch.zeros(1, 6)}
        return {name: tensor.to(self.model.device) for name, tensor in zeros.items()}

    @property
    def timestep(self) -> int:
        return self.model.default_timestep


@dataclass(frozen=True)
class Case:
    """name: the job; cases of one name do the same. mode: "plain", "coupled" or "read-out". precision:
    "float32", "tf32" (float32 whose products a GPU rounds to 10 bits) or "bfloat16". build(setup) returns the
    function to time. repeats: timed runs after a first one, 0 times the first. share: of the job that a run
    does; seconds are divided by it.
    """

    name: str
    mode: str
    precision: str
    build: Callable[[Setup], Callable[[], object]]
    repeats: int = 1
    share: float = 1.0


def step(mode: str, precision: str = "float32", encode: bool = False) -> Callable[[Setup], Callable]:
    """One image and its transformed view, losses of ten tokens, forward and backward to the context.

    encode: with the VAE; the plain formulation encodes both views, the kit keeps the plain one's latents.
    """

    def build(setup: Setup) -> Callable[[], None]:
        view = geometry.warp(setup.images[:1], _VIEW)
        both = torch.cat([setup.images[:1], view])

        def run() -> None:
            context, latents = setup.context().requires_grad_(True), setup.latents
            if encode and mode == "plain":
                latents = torch.cat([setup.model.encode_image(one[None]) for one in both])
            elif encode:
                latents = torch.cat([latents[:1], setup.model.encode_image(view)])
            still, moved = _maps(setup, latents, context, mode, precision)
            loss = losses.localization_loss(still[:CHOSEN], 2.0)
            loss = loss + losses.equivariance_loss(still[:CHOSEN], moved[:CHOSEN], _VIEW.to(still))
            loss.backward()

        return run

    return build


def _maps(setup: Setup, latents, context, mode: str, precision: str) -> torch.Tensor:
    unet, timestep = setup.model.unet, setup.timestep
    if mode == "plain":
        one_by_one = (
            plain.attention_maps(
                unet, one[None], timestep, context, layers=setup.layers, size=MAP, conditions=setup.conditions
            )
            for one in latents
        )
        return torch.cat(list(one_by_one))
    rounded = "bfloat16" if precision == "bfloat16" else "float32"
    return attention.attention_maps(unet, latents, timestep, context, size=MAP, precision=rounded)


def compiled(build: Callable[[Setup], Callable]) -> Callable[[Setup], Callable]:
    """The same with the U-Net's blocks compiled; the first run, which compiles, is not timed."""

    def compiling(setup: Setup) -> Callable:
        unet = setup.model.unet
        for block in (*unet.down_blocks, unet.mid_block, *unet.up_blocks):
            block.compile()
        return build(setup)

    return compiling


def third_stage(setup: Setup) -> Callable[[], None]:
    """The appended stage in read-out mode, whole: five images, 100 tokens, 100 steps, nothing kept before."""
    settings, points = AppendedStage(**THIRD_STAGE, mode="readout"), torch.full((_LABELLED, 2), 0.4)

    def run() -> None:
        list(Run(AppendedTokens(setup.model, setup.context(), setup.images, points, settings)))

    return run


def coupled_image_steps(setup: Setup) -> Callable[[], None]:
    """The coupled mode of the same stage: COUPLED_STEPS images of a step, each with a new view, all alike."""
    changes = {"images_per_step": 1, "augmentation_pool": 0, "mode": "coupled"}
    settings, points = AppendedStage(**{**THIRD_STAGE, **changes}), torch.full((1, 2), 0.4)
    stage = AppendedTokens(setup.model, setup.context(), setup.images[:1], points, settings)
    records = iter(Run(stage))
    next(records)  # the plain image is encoded once, in the first step

    def run() -> None:
        for _ in range(COUPLED_STEPS):
            next(records)

    return run


def slider_step(setup: Setup) -> Callable[[], object]:
    """One step of the read-out mode with 16 tokens at 32 x 32 on five images, its views kept already."""
    changes = {"ratio": 16 / BASE, "reading": Reading(map_size=32), "steps": 10**6, "augmentation_pool": 1}
    settings = AppendedStage(**{**THIRD_STAGE, **changes, "mode": "readout"})
    points = torch.full((_LABELLED, 2), 0.4)
    records = iter(Run(AppendedTokens(setup.model, setup.context(), setup.images, points, settings)))
    return lambda: next(records)


def inference(mode: str, precision: str = "float32", encode: str = "views") -> Callable[[Setup], Callable]:
    """Ten keypoints of one image from ten random views of it, read at 512 x 512."""
    reads = Reading(map_size=MAP, precision=precision)
    settings = TestTime(views=VIEWS, read_size=READ, reading=reads, encode=encode)

    def build(setup: Setup) -> Callable[[], torch.Tensor]:
        tokens, image = range(CHOSEN), setup.images[:1]
        if mode == "plain":
            return lambda: _plain_inference(setup, image, settings)
        return lambda: reading.read_keypoints(
            reading.read_maps(setup.model, setup.context(), image, settings, tokens), settings
        )

    return build


@torch.no_grad()
def _plain_inference(setup: Setup, image: torch.Tensor, settings: TestTime) -> torch.Tensor:
    model, context, thetas, found = setup.model, setup.context(), [], []
    for view in range(VIEWS):
        theta = reading.random_view(Augmentation(), 0, "test view", view, 0)
        latents = model.encode_image(geometry.warp(image, theta))
        latents = model.add_noise(latents, setup.timestep, torch.Generator().manual_seed(view))
        maps = plain.attention_maps(
            model.unet, latents, setup.timestep, context, layers=setup.layers, size=MAP
        )
        found.append(F.interpolate(maps[:, :CHOSEN], size=(READ, READ), mode="bilinear"))
        thetas.append(theta)
    averaged = heatmaps.average_views(torch.cat(found), torch.cat(thetas).to(found[0]))
    return reading.read_keypoints(averaged, settings)


def cases(shape: str, device: str) -> list[Case]:
    """All cases of a shape, compiled ones last: a model stays so. A long job is timed on its first run."""
    if shape == "sdxl":
        return _steps(shape, 2)
    long = shape == "sd15" and device == "cpu"
    few = 0 if long else 2
    share = COUPLED_STEPS / THIRD_STAGE["steps"] / THIRD_STAGE["images_per_step"]
    found = [
        Case("step", "plain", "float32", step("plain"), 1 if long else 5),
        Case("step", "coupled", "float32", step("coupled"), 2 if long else 5),
        Case("step", "coupled", "bfloat16", step("coupled", "bfloat16"), 1 if long else 5),
        Case("step with VAE", "plain", "float32", step("plain", encode=True), few),
        Case("step with VAE", "coupled", "float32", step("coupled", encode=True), few),
        Case("step with VAE", "coupled", "bfloat16", step("coupled", "bfloat16", encode=True), few),
        Case("third stage", "coupled", "float32", coupled_image_steps, few, share),
        Case("third stage", "read-out", "float32", third_stage, 0 if long else 1),
        Case("inference", "plain", "float32", inference("plain"), few),
        Case("inference", "kit", "float32", inference("kit"), few),
        Case("inference", "kit, encoded once", "float32", inference("kit", encode="once"), few),
    ]
    if shape == "figures":
        found.append(Case("read-out step, 16 tokens, 32 x 32", "read-out", "float32", slider_step, 20))
    if device == "cuda" or shape == "small":
        found.append(Case("inference", "kit", "bfloat16", inference("kit", "bfloat16"), few))
        found += _steps(shape, 5)[1:]
    return found


def _steps(shape: str, repeats: int) -> list[Case]:
    """A step in each arithmetic that only a GPU has reason to try, compiled at last."""
    first = [Case("step", "plain", "float32", step("plain"), repeats)]
    if shape == "sdxl":
        first.append(Case("step", "coupled", "float32", step("coupled"), repeats))
        first.append(Case("step", "coupled", "bfloat16", step("coupled", "bfloat16"), repeats))
    return [
        *first,
        Case("step", "plain", "tf32", step("plain", "tf32"), repeats),
        Case("step", "coupled", "tf32", step("coupled", "tf32"), repeats),
        Case("step", "coupled, compiled", "tf32", compiled(step("coupled", "tf32")), repeats),
        Case("step", "coupled, compiled", "bfloat16", compiled(step("coupled", "bfloat16")), repeats),
    ]
