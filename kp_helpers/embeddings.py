"""Token embeddings: a random start, appending, and one safetensors file that knows which model it belongs to.

An embedding is (N, D): N tokens of the width D of the model's context, in the place of the text encoder's
output.
"""

import json
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError

from kp_helpers import randomness
from kp_helpers.files import replace_file

METADATA = ("space", "model", "model_hash", "layers", "timestep", "settings", "seed")
LAYERED = ("appended", "rivals")
"""Tensors that may be (M, L D): tokens with a part for each of the L layers of the metadata."""
LARGEST_FILE = 2**30


class EmbeddingError(ValueError):
    """An embedding that cannot be used; the sentence names the file, what was found and what was expected."""


def initialise(
    tokens: int, width: int, seed: int, *, scale: float = 1.0, purpose: str = "base"
) -> torch.Tensor:
    """A random start (tokens, width): normal numbers of standard deviation `scale`, the same for the same
    seed.
    """
    return scale * torch.randn(tokens, width, generator=randomness.generator(seed, f"start {purpose}"))


def append(base: torch.Tensor, appended: torch.Tensor) -> torch.Tensor:
    """[e_base ; e_app]: (N, D) and (M, D) to (N + M, D), along the token axis."""
    if base.ndim != 2 or appended.ndim != 2 or base.shape[1] != appended.shape[1]:
        found = f"{tuple(base.shape)} and {tuple(appended.shape)}"
        raise EmbeddingError(f"append: base and appended have shapes {found}, expected (N, D) and (M, D)")
    return torch.cat([base, appended.to(base)])


def save(path: str | Path, tensors: dict[str, torch.Tensor], metadata: dict) -> Path:
    """Write one safetensors file, mode 0644, whole or not at all.

    tensors: name -> (N, D), or (M, L D) for those of `LAYERED`, floating point and finite; integers may be
    added for indices under names that end in "_tokens". metadata: JSON values under the keys `METADATA` and
    any others: space (what the tokens stand in for, such as "unet context"), model (its name), model_hash
    (`Diffusion.fingerprint`), layers, timestep, settings, seed.
    """
    missing = [key for key in METADATA if key not in metadata]
    if missing:
        raise EmbeddingError(f"{path}: metadata lacks {missing[0]!r}, expected {', '.join(METADATA)}")
    for name, tensor in tensors.items():
        _check_tensor(path, name, tensor)
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = {key: json.dumps(value) for key, value in metadata.items()}
    data = _in_order(safetensors.torch.save(content, metadata=text))
    return replace_file(path, lambda partial: partial.write_bytes(data))


def _in_order(data: bytes) -> bytes:
    """The same file with a sorted header: safetensors writes metadata in an order that differs every time."""
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def load(
    path: str | Path,
    *,
    fingerprint: str | None = None,
    width: int | None = None,
    other_model: bool = False,
) -> tuple[dict[str, torch.Tensor], dict]:
    """Tensors and metadata of a file that `save` wrote.

    fingerprint, width: of the model that is to read them (`Diffusion.fingerprint`, `.context_width`); an
    embedding that was learned on another model is refused unless `other_model` is true, one of another width
    always.
    """
    path = Path(path)
    tensors, metadata = _read(path)
    for name, tensor in tensors.items():
        _check_tensor(path, name, tensor)
        known = width is None or not tensor.is_floating_point()
        if not known and tensor.shape[1] not in _widths(name, width, metadata):
            raise EmbeddingError(
                f"{path}: tensor {name!r} has width {tensor.shape[1]}, expected the model's {width}"
            )
    learned_on = metadata.get("model_hash")
    if fingerprint is not None and learned_on != fingerprint and not other_model:
        found = f"{metadata.get('model')!r} (hash {str(learned_on)[:12]})"
        raise EmbeddingError(f"{path}: learned on {found}, expected the model with hash {fingerprint[:12]}")
    return tensors, metadata


def _widths(name: str, width: int, metadata: dict) -> set[int]:
    """How wide tokens may be: those that were appended may have a part for each layer."""
    layers = metadata.get("layers")
    apart = name in LAYERED and isinstance(layers, list) and layers
    return {width, width * len(layers)} if apart else {width}


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict]:
    if path.suffix != ".safetensors":
        raise EmbeddingError(f"{path}: ends in {path.suffix!r}, expected .safetensors; pickles can run code")
    if not path.is_file():
        raise EmbeddingError(f"{path}: no such file, expected a saved embedding")
    if path.stat().st_size > LARGEST_FILE:
        raise EmbeddingError(f"{path}: holds {path.stat().st_size} bytes, expected at most {LARGEST_FILE}")
    content = path.read_bytes()
    try:
        tensors = safetensors.torch.load(content)
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length], object_pairs_hook=_without_duplicates)
        return tensors, {key: json.loads(text) for key, text in header.get("__metadata__", {}).items()}
    except (SafetensorError, ValueError) as error:
        raise EmbeddingError(f"{path}: truncated or no saved embedding ({str(error)[:200]})") from error


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key occurs twice in the header")
    return content


def _check_tensor(path: str | Path, name: str, tensor: torch.Tensor) -> None:
    if not tensor.is_floating_point():
        if tensor.dtype == torch.int64 and name.endswith("_tokens"):
            return
        raise EmbeddingError(f"{path}: tensor {name!r} is {tensor.dtype}, expected floating point numbers")
    if tensor.ndim != 2 or not tensor.numel():
        raise EmbeddingError(f"{path}: tensor {name!r} has shape {tuple(tensor.shape)}, expected (N, D)")
    if not torch.isfinite(tensor).all():
        raise EmbeddingError(f"{path}: tensor {name!r} holds NaN or infinite values, expected finite ones")
    if not tensor.any():
        raise EmbeddingError(f"{path}: tensor {name!r} is all zero, expected a learned embedding")
