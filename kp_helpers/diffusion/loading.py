"""Load a model: Stable Diffusion 1, 2 or XL, or the figures model, from a checked folder or a single file.

Each check stands for a way in which it goes wrong silently otherwise: diffusers fills a missing tensor with
random numbers, falls back to pickles, accepts NaN and ignores a misspelt setting.
"""

import difflib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from diffusers import DDIMScheduler
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from kp_helpers.diffusion import model_folder, single_file, weights
from kp_helpers.diffusion.model import Diffusion
from kp_helpers.diffusion.model_folder import CONFIGS, INDEX, NETWORKS, ModelError, first_line
from kp_helpers.diffusion.single_file import PartOfFile
from kp_helpers.diffusion.weights import Weights

FIGURES = Path(__file__).parents[1] / "figures" / "model"
SHIPPED = {"figures": FIGURES, "figures-plain": FIGURES.with_name("model_plain")}
"""The small models that come with the kit: one whose words were taught to point, and its plain twin."""
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
NEEDED = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule")
"""Of the noise schedule, in the settings of any scheduler."""
ALSO_READ = ("trained_betas", "prediction_type", "rescale_betas_zero_snr", "steps_offset", "set_alpha_to_one")


def load(model: str | Path, device: str = "auto", dtype: torch.dtype | str = torch.float32) -> Diffusion:
    """Load a model, frozen and ready to read.

    model: "figures", the small model shipped with the kit, or "figures-plain", its twin that was trained by
    denoising alone; a folder; one file of the original layout, .safetensors or .ckpt; or a hub id
    "owner/name", with "@revision" to pin it. A name that begins with "/", "." or "~", has no or several
    slashes, ends like a file of weights, or whose first part is a folder here is a path, and for a path the
    network is never asked. device: where it runs, as torch names it; "auto" takes a CUDA GPU if there is
    one; without the named GPU, on the CPU, with a warning. dtype: of the weights, whichever they are stored
    in; also by name; warns where half precision is slower. Raises ModelError, whose sentence names the file.
    """
    device, dtype = _available(device), _checked_dtype(dtype)
    if dtype != torch.float32 and half_is_emulated(device):
        warnings.warn(f"{dtype} saves memory on this CPU, but is slower than float32", stacklevel=2)
    place, revision = model_folder.locate(SHIPPED.get(str(model), model), suffixes=single_file.SUFFIXES)
    folder, configs, found = _opened(place)
    parts = _components(folder, configs, found, dtype)
    for part in [part for part in NETWORKS if part in parts]:
        parts[part].requires_grad_(False).eval().to(device)
    return Diffusion(
        **parts,
        name=str(model),
        fingerprint=weights.fingerprint(found["unet"].tensors()),
        vae_fingerprint=weights.fingerprint(found["vae"].tensors()),
        folder=folder,
        revision=revision,
        default_timestep=model_folder.default_timestep(folder, len(parts["scheduler"].alphas_cumprod)),
    )


def _opened(place: Path) -> tuple[Path, dict[str, dict], dict[str, Weights | PartOfFile]]:
    """The settings' folder of a model folder or single file, its settings, and where the weights are."""
    if place.is_dir():
        configs = model_folder.check(place)
        return (
            place,
            configs,
            {part: weights.find(place / part, part) for part in NETWORKS if part in configs},
        )
    checkpoint = single_file.read(place)
    folder = single_file.settings_folder(place, checkpoint)
    configs = model_folder.check(folder)
    parts = [part for part in NETWORKS if part in configs]
    return folder, configs, {part: PartOfFile(place, part, configs[part], checkpoint) for part in parts}


def _available(device: str) -> str:
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    kind = device.split(":")[0]
    if kind not in present:
        raise ModelError(f"device is {device!r}, expected auto, cpu, cuda, cuda:N or mps")
    if not present[kind]:
        warnings.warn(f"device {device!r} is not present on this machine: running on the CPU", stacklevel=3)
        return "cpu"
    return device


def half_is_emulated(device: str | torch.device) -> bool:
    """Whether half precision costs time in place of saving it, as it does on a CPU without AVX-512."""
    here = torch.backends.cpu.get_cpu_capability()
    return torch.device(device).type == "cpu" and not here.startswith("AVX512")


def _checked_dtype(dtype: torch.dtype | str) -> torch.dtype:
    kind = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if kind not in DTYPES:
        raise ModelError(f"dtype is {dtype!r}, expected float32, bfloat16 or float16")
    return kind


def _components(
    folder: Path, configs: dict[str, dict], found: dict[str, Weights | PartOfFile], dtype: torch.dtype
) -> dict:
    """The components of a checked folder by name, and `zeros_when_empty`."""
    schedule = _noise_schedule(folder, configs["scheduler"])
    channels = configs["unet"].get("in_channels", 4)
    if channels != 4:
        path = folder / "unet" / CONFIGS["unet"]
        raise ModelError(f"{path}: in_channels is {channels}, expected 4; inpainting models take more")
    parts = {
        part: load_network(NETWORKS[part], folder / part, own, _dtype(part, configs[part], dtype))
        for part, own in found.items()
    }
    _check_widths(folder, parts)
    try:
        for part in configs:
            if part.startswith("tokenizer"):
                parts[part] = single_file.tokenizer(folder, part)
        parts["scheduler"] = DDIMScheduler(**schedule)
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


def _noise_schedule(folder: Path, config: dict) -> dict:
    """Of any scheduler's settings those of the noise schedule."""
    for name in NEEDED:
        if name not in config:
            nearest = difflib.get_close_matches(name, config, n=1, cutoff=0.0) or ["none"]
            path = folder / "scheduler" / CONFIGS["scheduler"]
            raise ModelError(f"{path}: has no {name!r}, expected it; the nearest setting is {nearest[0]!r}")
    return {name: config[name] for name in (*NEEDED, *ALSO_READ) if name in config}


def load_network(
    kind: type, folder: Path, found: Weights | PartOfFile, dtype: torch.dtype = torch.float32
) -> torch.nn.Module:
    """One network of diffusers or transformers with its weights: complete, of the right shapes, finite.

    folder: of its settings and weights. Raises ModelError.
    """
    path = found.files[0]
    try:
        with _quietly():
            network, missing, mismatched = found.build(kind, folder, dtype)
    except Exception as error:
        raise ModelError(f"{path}: cannot be loaded as {kind.__name__} ({first_line(error)})") from error
    for name in missing:
        raise ModelError(f"{path}: tensor {name!r} is missing, expected all of {kind.__name__}")
    for name, shape, wanted in mismatched:
        raise ModelError(
            f"{path}: tensor {name!r} has shape {tuple(shape)}, expected {tuple(wanted)} by config.json"
        )
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ModelError(f"{path}: tensor {name!r} holds NaN or infinite values, expected finite weights")
    return network


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the libraries' progress bar and reports: what is wrong is said in a ModelError."""
    libraries = (transformers_logging, diffusers_logging)
    shown = transformers_logging.is_progress_bar_enabled()
    verbosities = [library.get_verbosity() for library in libraries]
    transformers_logging.disable_progress_bar()
    for library in libraries:
        library.set_verbosity_error()
    try:
        yield
    finally:
        for library, verbosity in zip(libraries, verbosities, strict=True):
            library.set_verbosity(verbosity)
        if shown:
            transformers_logging.enable_progress_bar()
