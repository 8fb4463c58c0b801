"""The frozen latent diffusion model: load it from a folder or the hub, image to latent, latent to noised
latent.

Each check while loading stands for a way in which it goes wrong silently otherwise: diffusers fills a missing
tensor with random numbers, falls back to pickles, accepts NaN and ignores a misspelt setting.
"""

import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import diffusers
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils import logging as transformers_logging

from kp_helpers import model_folder
from kp_helpers.model_folder import WEIGHTS, ModelError, first_line

FIGURES = Path(__file__).parent / "figures" / "model"
NETWORKS = {"unet": UNet2DConditionModel, "vae": AutoencoderKL, "text_encoder": CLIPTextModel}


@dataclass(frozen=True)
class Diffusion:
    """A frozen latent diffusion model.

    unet, vae, tokenizer, text_encoder, scheduler: the components. name: how it was asked for. fingerprint:
    SHA-256 of the U-Net's weights file. revision: the hub commit, None for a folder. default_timestep: the
    noise level at which its attention is read best, from `keypoint_kit.json` in the folder; 0 where the
    folder has none.
    """

    unet: torch.nn.Module
    vae: torch.nn.Module
    tokenizer: object
    text_encoder: torch.nn.Module
    scheduler: object
    name: str
    fingerprint: str
    folder: Path
    revision: str | None = None
    default_timestep: int = 0

    @property
    def device(self) -> torch.device:
        return self.unet.device

    @property
    def context_width(self) -> int:
        """D, the width of a token embedding."""
        return self.unet.config.cross_attention_dim

    @property
    def image_size(self) -> int:
        """Side in pixels of the square image that the model was trained on."""
        return self.unet.config.sample_size * self._pixels_per_latent

    @property
    def _pixels_per_latent(self) -> int:
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @torch.no_grad()
    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        """Latents (B, 4, h, w) of images (B, 3, H, W) in [0,1]: the mean of VAE(2 x - 1) times its scaling
        factor.
        """
        step = self._pixels_per_latent
        if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] % step or images.shape[3] % step:
            found = tuple(images.shape)
            raise ValueError(f"images have shape {found}, expected (B, 3, H, W), H and W multiples of {step}")
        if not images.is_floating_point() or not (images.amin() >= -1e-4 and images.amax() <= 1 + 1e-4):
            found = f"{images.dtype}, {float(images.amin()):.3g} to {float(images.amax()):.3g}"
            raise ValueError(f"images hold {found}, expected floating point numbers in [0,1]")
        images = images.to(self.vae.device, self.vae.dtype)
        mean = self.vae.encode(2 * images - 1).latent_dist.mean
        return mean * self.vae.config.scaling_factor

    def add_noise(
        self,
        latents: torch.Tensor,
        timestep: int,
        generator: torch.Generator | None = None,
        *,
        noise: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """z_t = sqrt(abar_t) z + sqrt(1 - abar_t) eps, of the latents' shape.

        timestep: 0 to the scheduler's last. eps is `noise`, or drawn from the CPU `generator`, one of the
        two.
        """
        if not 0 <= timestep < len(self.scheduler.alphas_cumprod):
            last = len(self.scheduler.alphas_cumprod) - 1
            raise ValueError(
                f"timestep is {timestep}, expected 0 to {last}, the noise levels of {self.name!r}"
            )
        if (noise is None) == (generator is None):
            raise ValueError("add_noise: expected either `generator` or `noise`, one of them and not both")
        noise = torch.randn(latents.shape, generator=generator) if noise is None else noise
        signal = float(self.scheduler.alphas_cumprod[timestep])
        return signal**0.5 * latents + (1 - signal) ** 0.5 * noise.to(latents)

    @torch.no_grad()
    def encode_text(self, captions: list[str]) -> torch.Tensor:
        """The text encoder's output for captions, (B, L, D), padded or cut to the tokenizer's length L."""
        length = self.tokenizer.model_max_length
        tokens = self.tokenizer(
            captions, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        )
        return self.text_encoder(tokens.input_ids.to(self.text_encoder.device)).last_hidden_state


def load(model: str | Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Diffusion:
    """Load a model, frozen and ready to read.

    model: "figures", the small model shipped with the kit; a folder; or a hub id "owner/name", with
    "@revision" to pin it. A name that begins with "/", "." or "~", has no or several slashes, or whose first
    part is a folder here is a path, and for a path the network is never asked. device: where it runs; without
    the named GPU, on the CPU, with a warning. Raises ModelError, whose sentence names the file.
    """
    device = _available(device)
    folder, revision = model_folder.locate(FIGURES if str(model) == "figures" else model)
    parts = _components(folder, dtype)
    for part in NETWORKS:
        parts[part].requires_grad_(False).eval().to(device)
    return Diffusion(
        **parts,
        name=str(model),
        fingerprint=model_folder.sha256(folder / "unet" / WEIGHTS["unet"]),
        folder=folder,
        revision=revision,
        default_timestep=model_folder.default_timestep(folder, len(parts["scheduler"].alphas_cumprod)),
    )


def _available(device: str) -> str:
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    kind = device.split(":")[0]
    if kind not in present:
        raise ModelError(f"device is {device!r}, expected cpu, cuda, cuda:N or mps")
    if not present[kind]:
        warnings.warn(f"device {device!r} is not present on this machine: running on the CPU", stacklevel=3)
        return "cpu"
    return device


def _components(folder: Path, dtype: torch.dtype) -> dict:
    """The five components of a checked folder by name."""
    configs = model_folder.check(folder, _known_settings())
    for part in ("unet", "vae"):
        _check_shapes(folder, part)
    parts = {part: _network(folder, part, dtype) for part in NETWORKS}
    try:
        parts["tokenizer"] = CLIPTokenizer.from_pretrained(str(folder / "tokenizer"), local_files_only=True)
        parts["scheduler"] = DDIMScheduler.from_config(configs["scheduler"])
    except Exception as error:  # the libraries raise many types; the folder is what has to be named
        raise ModelError(f"{folder}: tokenizer or scheduler cannot be built ({first_line(error)})") from error
    return parts


def _known_settings() -> dict[str, set[str]]:
    """The settings that a U-Net, a VAE and a scheduler know, from their own signatures."""
    names = ("DDIM", "DDPM", "PNDM", "EulerDiscrete", "LMSDiscrete", "DPMSolverMultistep")
    schedulers = [getattr(diffusers, f"{name}Scheduler") for name in names]
    kinds = {"unet": [UNet2DConditionModel], "vae": [AutoencoderKL], "scheduler": schedulers}
    return {
        part: {k for kind in of for k in inspect.signature(kind).parameters} for part, of in kinds.items()
    }


def _check_shapes(folder: Path, part: str) -> None:
    """Compare the file's header with the shapes that the config asks for, before memory is taken for them."""
    kind, path = NETWORKS[part], folder / part / WEIGHTS[part]
    try:
        with torch.device("meta"):
            expected = kind.from_config(kind.load_config(str(folder / part))).state_dict()
    except Exception as error:
        raise ModelError(
            f"{folder / part / 'config.json'}: no {kind.__name__} ({first_line(error)})"
        ) from error
    for name, found in model_folder.tensor_shapes(path).items():
        if name in expected and found != tuple(expected[name].shape):
            wanted = tuple(expected[name].shape)
            raise ModelError(f"{path}: tensor {name!r} has shape {found}, expected {wanted} by config.json")


def _network(folder: Path, part: str, dtype: torch.dtype) -> torch.nn.Module:
    """One network with its weights: complete, of the right shapes, finite."""
    kind, path = NETWORKS[part], folder / part / WEIGHTS[part]
    model_folder.tensor_shapes(path)  # names the file if it is truncated
    options = {"use_safetensors": True, "local_files_only": True, "output_loading_info": True}
    if kind is CLIPTextModel:
        options |= {"dtype": dtype, "ignore_mismatched_sizes": True}  # reported below, with the shapes
    else:
        options |= {"torch_dtype": dtype}
    try:
        with _quietly():
            network, info = kind.from_pretrained(str(folder / part), **options)
    except Exception as error:
        raise ModelError(f"{path}: cannot be loaded as {kind.__name__} ({first_line(error)})") from error
    for name in sorted(info["missing_keys"]):
        raise ModelError(f"{path}: tensor {name!r} is missing, expected all of {kind.__name__}")
    for name, found, wanted in info["mismatched_keys"]:
        raise ModelError(
            f"{path}: tensor {name!r} has shape {tuple(found)}, expected {tuple(wanted)} by config.json"
        )
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ModelError(f"{path}: tensor {name!r} holds NaN or infinite values, expected finite weights")
    return network


@contextmanager
def _quietly() -> Iterator[None]:
    """Without transformers' progress bar and report: what is wrong is said in a ModelError."""
    shown, verbosity = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if shown:
            transformers_logging.enable_progress_bar()
