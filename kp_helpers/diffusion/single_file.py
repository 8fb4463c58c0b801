"""A whole model in one file of the layout that Stable Diffusion was published in, read through diffusers' own
conversion. Settings and tokenizer, which such a file lacks, are shipped with the kit (`published`).
"""

import gzip
import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import init_empty_weights
from diffusers.loaders import single_file_utils as original
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer, PreTrainedModel

from kp_helpers.diffusion import weights
from kp_helpers.diffusion.model_folder import CONFIGS, INDEX, ModelError

SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
PUBLISHED = Path(__file__).with_name("published")
FAMILIES = {"v1": "sd15", "v2": "sd21", "xl_base": "sdxl"}
"""What diffusers calls the family of a file -> the folder of its published settings."""
_QUERY = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
"""A tensor of every U-Net of these families, whole models and no adapters."""


@dataclass(frozen=True)
class PartOfFile:
    """One component's weights in a file that holds them all under their original names; see `Weights`."""

    path: Path
    part: str
    config: dict
    checkpoint: dict[str, torch.Tensor]

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    def build(
        self, kind: type, folder: Path, dtype: torch.dtype
    ) -> tuple[torch.nn.Module | None, list[str], list[tuple]]:
        """As `Weights.build`; of a text encoder's tensor that does not fit there is a ValueError."""
        options = {"config": str(folder.parent), "subfolder": self.part, "torch_dtype": dtype}
        options["local_files_only"] = True
        if issubclass(kind, PreTrainedModel):
            network = original.create_diffusers_clip_model_from_ldm(kind, self.checkpoint, **options)
            # what diffusers found no weights for stays without memory
            return network, [name for name, tensor in network.named_parameters() if tensor.is_meta], []
        with init_empty_weights():
            wanted = {
                name: tensor.shape for name, tensor in kind.from_config(self.config).state_dict().items()
            }
        found = {name: tensor.shape for name, tensor in self.tensors().items()}
        missing = [name for name in wanted if name not in found]
        mismatched = [
            (name, found[name], shape) for name, shape in wanted.items() if found.get(name, shape) != shape
        ]
        if missing or mismatched:
            return None, missing, mismatched
        return kind.from_single_file(self.checkpoint, **options, extract_ema=True), [], []

    def tensors(self) -> dict[str, torch.Tensor]:
        """Of U-Net or VAE, by diffusers' names. Of a U-Net that is there twice, the averaged one, which is
        what was published as a folder.
        """
        if self.part == "unet":
            return original.convert_ldm_unet_checkpoint(self.checkpoint, self.config, extract_ema=True)
        return original.convert_ldm_vae_checkpoint(self.checkpoint, self.config)


def read(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file under their original names."""
    checkpoint = weights.read(path)
    while "state_dict" in checkpoint:
        checkpoint = checkpoint["state_dict"]
    return checkpoint


def settings_folder(path: Path, checkpoint: dict[str, torch.Tensor]) -> Path:
    """The folder of settings for a file: beside it, of its name without the ending; else the published ones
    of its family, by its tensors. ModelError where it is of none.
    """
    own = path.with_suffix("")
    if (own / INDEX).is_file():
        return own
    family = original.infer_diffusers_model_type(checkpoint)
    if family not in FAMILIES or _QUERY not in checkpoint:
        found = f"holds no model of these families, {next(iter(checkpoint), 'nothing')!r} and such"
        if family != "v1":  # which is diffusers' answer where it knows none
            found = f"is of the kind {family!r}"
        expected = "a whole model of Stable Diffusion 1, 2 or XL that takes 4 channels"
        raise ModelError(f"{path}: {found}, expected {expected}")
    if family == "v2":
        warnings.warn(
            f"{path}: nothing in it tells a model for 512 pixels from one for 768; taken as Stable Diffusion "
            f"2.1 for 768. If it is another, put its settings, as diffusers has them, into {own}",
            stacklevel=3,
        )
    return PUBLISHED / FAMILIES[family]


def tokenizer(folder: Path, part: str) -> CLIPTokenizer:
    """CLIP's tokenizer by the settings of a folder; the words are the kit's where the folder has none."""
    place = folder / part
    if (place / "vocab.json").is_file() or (place / "tokenizer.json").is_file():
        return CLIPTokenizer.from_pretrained(str(place), local_files_only=True)
    settings = json.loads((place / CONFIGS[part]).read_text(encoding="utf-8"))
    vocabulary, merges = _words()
    longest = settings["model_max_length"]
    return CLIPTokenizer(vocabulary, merges, pad_token=settings["pad_token"], model_max_length=longest)


def _words() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """CLIP's tokens with their numbers, and the pairs that are joined, in their order: tokens are the bytes,
    the bytes at a word's end, the joined pairs, start and end of a text.
    """
    with gzip.open(PUBLISHED / "merges.txt.gz", "rt", encoding="utf-8") as file:
        merges = [tuple(line.split()) for line in file]
    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *[f"{letter}</w>" for letter in letters], *map("".join, merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return {token: number for number, token in enumerate(tokens)}, merges
