"""Load a model: Stable Diffusion 1, 2 or XL, or the figures model, from a checked folder.

Each check stands for a way in which it goes wrong silently otherwise: diffusers fills a missing tensor with
random numbers, falls back to pickles, accepts NaN and ignores a misspelt setting.
"""

import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import diffusers
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer, PreTrainedModel
from transformers.utils import logging as transformers_logging

from kp_helpers.diffusion import model_folder
from kp_helpers.diffusion.model import Diffusion
from kp_helpers.diffusion.model_folder import CONFIGS, INDEX, WEIGHTS, ModelError, first_line

FIGURES = Path(__file__).parents[1] / "figures" / "model"
SHIPPED = {"figures": FIGURES, "figures-plain": FIGURES.with_name("model_plain")}
"""The small models that come with the kit: one whose words were taught to point, and its plain twin."""
NETWORKS = {
    "unet": UNet2DConditionModel,
    "vae": AutoencoderKL,
    "text_encoder": CLIPTextModel,
    "text_encoder_2": CLIPTextModelWithProjection,
}


def load(model: str | Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Diffusion:
    """Load a model, frozen and ready to read.

    model: "figures", the small model shipped with the kit, or "figures-plain", its twin that was trained by
    denoising alone; a folder; or a hub id "owner/name", with "@revision" to pin it. A name that begins with
    "/", "." or "~", has no or several slashes, or whose first part is a folder here is a path, and for a path
    the network is never asked. device: where it runs; without the named GPU, on the CPU, with a warning.
    Raises ModelError, whose sentence names the file.
    """
    device = _available(device)
    folder, revision = model_folder.locate(SHIPPED.get(str(model), model))
    parts = _components(folder, dtype)
    for part in [part for part in NETWORKS if part in parts]:
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
    """The components of a checked folder by name, and `zeros_when_empty`."""
    configs = model_folder.check(folder, _known_settings())
    for part in ("unet", "vae"):
        _check_shapes(folder, part)
    networks = [part for part in NETWORKS if part in configs]
    parts = {
        part: load_network(NETWORKS[part], folder / part / WEIGHTS[part], _dtype(part, configs[part], dtype))
        for part in networks
    }
    _check_widths(folder, parts)
    try:
        for part in configs:
            if part.startswith("tokenizer"):
                parts[part] = CLIPTokenizer.from_pretrained(str(folder / part), local_files_only=True)
        parts["scheduler"] = DDIMScheduler.from_config(configs["scheduler"])
    except Exception as error:  # the libraries raise many types; the folder is what has to be named
        raise ModelError(f"{folder}: tokenizer or scheduler cannot be built ({first_line(error)})") from error
    zeros = configs[INDEX].get("force_zeros_for_empty_prompt", True)  # diffusers' own default for SDXL
    return parts | {"zeros_when_empty": "text_encoder_2" in parts and zeros is True}


def _dtype(part: str, config: dict, dtype: torch.dtype) -> torch.dtype:
    """float32 for a VAE whose numbers float16 cannot hold, as SDXL's; else what was asked for."""
    overflows = part == "vae" and config.get("force_upcast", True)
    return torch.float32 if overflows and dtype == torch.float16 else dtype


def _check_widths(folder: Path, parts: dict) -> None:
    """What the text encoders give is as wide as what the U-Net takes."""
    widths = {part: parts[part].config.hidden_size for part in parts if part.startswith("text_encoder")}
    wanted = parts["unet"].config.cross_attention_dim
    if sum(widths.values()) != wanted:
        given = " and ".join(f"{width} of {part}" for part, width in widths.items())
        path = folder / "unet" / CONFIGS["unet"]
        raise ModelError(f"{path}: cross_attention_dim is {wanted}, expected the width {given}")


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


def load_network(kind: type, path: Path, dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    """One network of diffusers or transformers with its weights: complete, of the right shapes, finite.

    path: of the safetensors file, beside which its settings stand. Raises ModelError.
    """
    model_folder.tensor_shapes(path)  # names the file if it is truncated
    options = {"use_safetensors": True, "local_files_only": True, "output_loading_info": True}
    if issubclass(kind, PreTrainedModel):
        options |= {"dtype": dtype, "ignore_mismatched_sizes": True}  # reported below, with the shapes
    else:
        options |= {"torch_dtype": dtype}
    try:
        with _quietly():
            network, info = kind.from_pretrained(str(path.parent), **options)
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
