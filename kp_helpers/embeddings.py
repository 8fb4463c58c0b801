"""Token embeddings: a random start, appending, and one safetensors file that knows which model it belongs to.

An embedding is (N, D): N tokens of the width D of the model's context, in the place of the text encoder's
output.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from kp_helpers import store
from kp_helpers.config import randomness
from kp_helpers.store import DamagedError

METADATA = ("space", "model", "model_hash", "layers", "timestep", "settings", "seed")
LAYERED = ("appended", "rivals")
"""Tensors that may be (M, L D): tokens with a part for each of the L layers of the metadata."""
MODES = ("coupled", "readout")


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


@dataclass(frozen=True)
class Appended:
    """What the appended stage learned for one joint.

    base: (N, D), frozen. tokens: (M, D), learned, or (M, L D) with a part for each of L read-out layers; of
    the read-out "linear" the weights and bias (1, C + 1) of `attention.linear_map`.
    readout: as `AppendedStage.readout`; best: the token of "best", else None. mode: "coupled" or "readout",
    whether `tokens` condition the U-Net too. rivals: of the read-out "linear" the weights of the fit of the
    mirrored pictures, in which the joint looks like the other side's.
    """

    base: torch.Tensor
    tokens: torch.Tensor
    readout: str = "sum"
    best: int | None = None
    mode: str = "coupled"
    rivals: torch.Tensor | None = None

    def __post_init__(self):
        if self.mode not in MODES:
            raise ValueError(f"mode is {self.mode!r}, expected one of {', '.join(MODES)}")
        if (self.rivals is None) == (self.readout == "linear"):
            found = "no rivals" if self.rivals is None else "rivals"
            raise ValueError(f"readout is {self.readout!r} with {found}, expected rivals for 'linear' alone")

    @property
    def context(self) -> torch.Tensor:
        """[e_base ; e_app], N + M tokens, all as wide as the appended ones."""
        return append(widened(self.base, self.tokens.shape[1]), self.tokens)

    @property
    def conditioning(self) -> torch.Tensor:
        """What conditions the U-Net: the whole context in coupled mode, the base alone in read-out mode."""
        return self.context if self.mode == "coupled" else self.base

    @property
    def mirrored(self) -> "Appended":
        """What finds the joint in the mirrored picture, where it looks like the other side's.

        Raises ValueError for tokens, which know nothing of the other side's joint.
        """
        if self.rivals is None:
            raise ValueError("mirror is True, expected False: tokens do not know the other side's joint")
        return replace(self, tokens=self.rivals, rivals=self.tokens)

    def tensors(self) -> dict[str, torch.Tensor]:
        """What `embeddings.save` keeps: base, appended and, where there are any, rivals."""
        found = {"base": self.base, "appended": self.tokens}
        return found if self.rivals is None else found | {"rivals": self.rivals}


def widened(tokens: torch.Tensor, width: int) -> torch.Tensor:
    """Tokens (N, D) that are the same for every layer, as (N, width), width a multiple of D."""
    return tokens.repeat(1, width // tokens.shape[1])


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
    return store.save(path, tensors, metadata, checksum=False)


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
        unknown = width is None or not tensor.is_floating_point() or _is_fit(name, metadata)
        if not unknown and tensor.shape[1] not in _widths(name, width, metadata):
            raise EmbeddingError(
                f"{path}: tensor {name!r} has width {tensor.shape[1]}, expected the model's {width}"
            )
    learned_on = metadata.get("model_hash")
    if fingerprint is not None and learned_on != fingerprint and not other_model:
        found = f"{metadata.get('model')!r} (hash {str(learned_on)[:12]})"
        raise EmbeddingError(f"{path}: learned on {found}, expected the model with hash {fingerprint[:12]}")
    return tensors, metadata


def _is_fit(name: str, metadata: dict) -> bool:
    """Whether these are the weights of a fit of queries (C + 1), which have no token's width."""
    settings = metadata.get("settings")
    return name in LAYERED and isinstance(settings, dict) and settings.get("readout") == "linear"


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
    try:
        return store.load(path)
    except DamagedError as error:
        raise EmbeddingError(f"{path}: truncated or no saved embedding ({error})") from error


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
