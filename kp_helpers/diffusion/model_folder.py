"""A model folder on disk: find it, fetch it, check it, before anything in it is used.

A folder is a diffusers pipeline folder of Stable Diffusion 1, 2 or XL. Nothing in it is trusted: only
weights and JSON settings are read, and what asks for code is refused.
"""

import difflib
import inspect
import json
import re
from collections.abc import Sequence
from pathlib import Path

from diffusers import AutoencoderKL, UNet2DConditionModel
from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from safetensors import SafetensorError, safe_open
from transformers import CLIPTextModel, CLIPTextModelWithProjection

NETWORKS = {
    "unet": UNet2DConditionModel,
    "vae": AutoencoderKL,
    "text_encoder": CLIPTextModel,
    "text_encoder_2": CLIPTextModelWithProjection,
}
CONFIGS = dict.fromkeys(NETWORKS, "config.json") | {
    "scheduler": "scheduler_config.json",
    "tokenizer": "tokenizer_config.json",
    "tokenizer_2": "tokenizer_config.json",
}
WEIGHTS = dict.fromkeys(("unet", "vae"), "diffusion_pytorch_model.safetensors")
WEIGHTS |= dict.fromkeys(("text_encoder", "text_encoder_2"), "model.safetensors")
_ONE_ENCODER = ("unet", "vae", "text_encoder", "scheduler", "tokenizer")
PIPELINES = {
    "StableDiffusionPipeline": _ONE_ENCODER,
    "StableDiffusionXLPipeline": (*_ONE_ENCODER, "text_encoder_2", "tokenizer_2"),
}
INDEX = "model_index.json"
CODE_KEYS = ("auto_map", "trust_remote_code", "custom_pipeline")
HUB_ID = re.compile(r"(?P<repo>\w[\w.-]*/[\w.-]+)(@(?P<revision>[\w./-]+))?")
FETCHED = [INDEX, "keypoint_kit.json"]
FETCHED += [f"{part}/*.{ending}" for part in ("tokenizer", "tokenizer_2") for ending in ("json", "txt")]
FETCHED += [f"{part}/{name}" for files in (CONFIGS, WEIGHTS) for part, name in files.items()]

NETWORK_WEIGHTS, NETWORK_CONFIGS = "model.safetensors", ("config.json", "preprocessor_config.json")
"""The files of a folder that holds one network of transformers and no pipeline."""


class ModelError(ValueError):
    """A model that cannot be used; the sentence names the file, what was found and what was expected."""


def locate(
    model: str | Path,
    fetched: Sequence[str] = FETCHED,
    expected: str = "a diffusers pipeline folder",
    suffixes: Sequence[str] = (),
) -> tuple[Path, str | None]:
    """The folder of a path or hub id, and for a hub id the commit that it was resolved to.

    fetched: patterns of the files that are taken from the hub. expected: what the folder is to be, in words.
    suffixes: of files that may stand in the folder's place.
    """
    hub = HUB_ID.fullmatch(model) if isinstance(model, str) else None
    file = Path(model).suffix in suffixes
    if hub and not file and not Path(model.split("/")[0]).is_dir():
        return _from_hub(hub["repo"], hub["revision"], fetched)
    folder = Path(model).expanduser()
    if file and folder.is_file():
        return folder, None
    if file and not folder.exists():
        raise ModelError(f"{folder}: no such file, expected a model's weights in one file")
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such folder, expected {expected} or a hub id owner/name")
    return folder, None


def _from_hub(repo: str, revision: str | None, fetched: Sequence[str]) -> tuple[Path, str]:
    try:
        folder = Path(snapshot_download(repo, revision=revision, allow_patterns=list(fetched)))
    except Exception as error:  # the hub's client raises some twenty types; all mean that there is no model
        raise ModelError(f"{repo}: {_why_not_fetched(error, repo, revision, fetched)}") from error
    return folder, folder.name


def _why_not_fetched(error: Exception, repo: str, revision: str | None, fetched: Sequence[str]) -> str:
    """What went wrong with the hub, by name, and the way on."""
    name = type(error).__name__
    if isinstance(error, GatedRepoError):
        return f"is gated ({name}): accept its licence on the hub's page of it, then `hf auth login`"
    if isinstance(error, RevisionNotFoundError):
        return f"has no revision {revision!r} ({name}), expected a branch, tag or commit of it"
    if isinstance(error, RepositoryNotFoundError):
        return f"is no repository that the hub shows you ({name}); check the name, or `hf auth login`"
    if getattr(getattr(error, "response", None), "status_code", None) == 429:
        return f"the hub asks to wait ({name}, 429): try again in some minutes, or `hf auth login`"
    pinned = f" --revision {revision}" if revision else ""
    patterns = " ".join(f"--include '{pattern}'" for pattern in fetched)
    return (
        f"found neither as a folder here nor in the hub's cache, and it could not be fetched ({name}); with "
        f"a network run `hf download {repo}{pinned} {patterns}` with HF_HUB_OFFLINE unset, or set HF_HOME to "
        "a folder whose cache holds it"
    )


def check(folder: Path) -> dict[str, dict]:
    """The settings of the components that the pipeline has, and of the index under `INDEX`, after index,
    files and keys have been checked; a key that a U-Net or VAE does not know is an error.
    """
    index = _checked_index(folder / INDEX)
    _check_no_code(folder)
    configs = {part: _config(folder / part / CONFIGS[part]) for part in PIPELINES[index["_class_name"]]}
    for part in ("unet", "vae"):
        known = inspect.signature(NETWORKS[part]).parameters
        for key in configs[part]:
            if not key.startswith("_") and key not in known:
                nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
                path = folder / part / CONFIGS[part]
                raise ModelError(f"{path}: unknown setting {key!r}; the nearest known one is {nearest!r}")
    return configs | {INDEX: index}


def check_network(folder: Path) -> tuple[Path, dict]:
    """The folder of one network of transformers and its `preprocessor_config.json`, both checked."""
    _check_no_code(folder)
    _config(folder / NETWORK_CONFIGS[0])
    return folder, _config(folder / NETWORK_CONFIGS[1])


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors in a safetensors file, from its header alone."""
    try:
        with safe_open(str(path), framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: truncated or no safetensors file ({first_line(error)})") from error


def default_timestep(folder: Path, levels: int) -> int:
    """The noise level that `keypoint_kit.json` names, 0 where the folder has no such file."""
    path = folder / "keypoint_kit.json"
    timestep = _json(path).get("timestep", 0) if path.is_file() else 0
    if type(timestep) is not int or not 0 <= timestep < levels:
        raise ModelError(f"{path}: timestep is {timestep!r}, expected an integer from 0 to {levels - 1}")
    return timestep


def first_line(error: Exception) -> str:
    """The first line of a library's message, short enough to stand inside a sentence."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _checked_index(path: Path) -> dict:
    if not path.is_file():
        raise ModelError(f"{path}: missing, expected the index of a diffusers pipeline folder")
    index = _json(path)
    pipeline = index.get("_class_name")
    if pipeline not in list(PIPELINES):
        raise ModelError(f"{path}: _class_name is {pipeline!r}, expected {' or '.join(PIPELINES)}")
    for part in PIPELINES[pipeline]:
        kind = NETWORKS.get(part)
        expected = kind and [kind.__module__.split(".")[0], kind.__name__]
        if kind and index.get(part) != expected:
            raise ModelError(f"{path}: {part} is {index.get(part)!r}, expected {expected}")
    return index


def _check_no_code(folder: Path) -> None:
    for path in sorted(folder.rglob("*.py")):
        raise ModelError(f"{path}: the model folder brings code, expected weights and settings only")


def _config(path: Path) -> dict:
    if not path.is_file():
        raise ModelError(f"{path}: missing, expected the component's settings as JSON")
    config = _json(path)
    for key in CODE_KEYS:
        if key in config:
            raise ModelError(f"{path}: {key!r} asks for code from the folder, expected settings without it")
    return config


def _json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: malformed JSON ({first_line(error)})") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path}: holds a {type(content).__name__}, expected a JSON object")
    return content
