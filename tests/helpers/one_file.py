"""A model folder written as one file, under the names that Stable Diffusion was published with.

They are those of CompVis' `ldm` and of OpenCLIP, put down by hand; nothing of diffusers' conversion is asked.
"""

import re
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}
_VAE = {
    "mid_block.resnets.0": "mid.block_1",
    "mid_block.resnets.1": "mid.block_2",
    "mid_block.attentions.0.group_norm": "mid.attn_1.norm",
    "mid_block.attentions.0.to_q": "mid.attn_1.q",
    "mid_block.attentions.0.to_k": "mid.attn_1.k",
    "mid_block.attentions.0.to_v": "mid.attn_1.v",
    "mid_block.attentions.0.to_out.0": "mid.attn_1.proj_out",
    "conv_norm_out": "norm_out",
    "conv_shortcut": "nin_shortcut",
    "downsamplers.0": "downsample",
    "upsamplers.0": "upsample",
}
_OPEN_CLIP = {
    "encoder.layers": "transformer.resblocks",
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "final_layer_norm": "ln_final",
    "embeddings.token_embedding": "token_embedding",
    "embeddings.position_embedding.weight": "positional_embedding",
    "text_projection.weight": "text_projection",
}


def tensors(folder: Path, family: str) -> dict[str, torch.Tensor]:
    """All of a folder under the original names."""
    unet = load_file(folder / "unet/diffusion_pytorch_model.safetensors")
    vae = load_file(folder / "vae/diffusion_pytorch_model.safetensors")
    found = {f"model.diffusion_model.{_of_unet(name, unet)}": tensor for name, tensor in unet.items()}
    for name, tensor in vae.items():
        linear = "attentions" in name and tensor.ndim == 2  # a convolution over one pixel there
        found[f"first_stage_model.{_of_vae(name)}"] = tensor[:, :, None, None] if linear else tensor
    encoders = {"sd15": "cond_stage_model.transformer.", "sd2": "cond_stage_model.model."}
    first = encoders.get(family, "conditioner.embedders.0.transformer.")
    found |= _text(folder / "text_encoder", first, family == "sd2")
    if family == "sdxl":
        found |= _text(folder / "text_encoder_2", "conditioner.embedders.1.model.", True)
    return {name: tensor.clone().contiguous() for name, tensor in found.items()}


def write(folder: Path, path: Path, family: str = "sd15") -> Path:
    """The folder's weights in one file, .safetensors, or .ckpt as PyTorch Lightning leaves it."""
    if path.suffix == ".safetensors":
        save_file(tensors(folder, family), path)
    else:
        torch.save({"global_step": 840000, "state_dict": tensors(folder, family)}, path)
    return path


def beside_its_settings(folder: Path, path: Path) -> Path:
    """A folder's weights in one file, and beside it the folder's settings without weights."""
    shutil.copytree(folder, path.with_suffix(""), ignore=shutil.ignore_patterns("*.safetensors"))
    return write(folder, path)


def _replaced(name: str, table: dict[str, str]) -> str:
    for new, old in table.items():
        name = re.sub(rf"(^|\.){re.escape(new)}(?=\.|$)", rf"\g<1>{old}", name)
    return name


def _of_unet(name: str, names) -> str:
    """Blocks of a side are counted through, three a level; the third of the way down shrinks."""
    block = re.match(r"(down|up)_blocks\.(\d+)\.([a-z]+)\.(\d+)\.(.*)", name)
    if not block:
        for new, old in _ENDS.items():
            if name.startswith(f"{new}."):
                rest = name.removeprefix(f"{new}.")
                return f"{old}.{_replaced(rest, _RESNET) if '.resnets.' in name else rest}"
    side, level, kind, place, rest = block.groups()
    level, place = int(level), int(place)
    if kind == "downsamplers":
        return f"input_blocks.{3 * level + 3}.0.op.{rest.removeprefix('conv.')}"
    if kind == "upsamplers":
        attended = any(other.startswith(f"up_blocks.{level}.attentions") for other in names)
        return f"output_blocks.{3 * level + 2}.{2 if attended else 1}.{rest}"
    number = 3 * level + place + (1 if side == "down" else 0)
    whole = "input_blocks" if side == "down" else "output_blocks"
    if kind == "attentions":
        return f"{whole}.{number}.1.{rest}"
    return f"{whole}.{number}.0.{_replaced(rest, _RESNET)}"


def _of_vae(name: str) -> str:
    name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", name)
    name = re.sub(r"down_blocks\.(\d)", r"down.\1", name)
    name = re.sub(r"up_blocks\.(\d)", lambda found: f"up.{3 - int(found[1])}", name)
    return _replaced(re.sub(r"(up\.\d)\.resnets\.(\d)", r"\1.block.\2", name), _VAE)


def _text(folder: Path, prefix: str, open_clip: bool) -> dict[str, torch.Tensor]:
    """A text encoder's; OpenCLIP has queries, keys and values in one tensor, and its projection turned."""
    found = load_file(folder / "model.safetensors")
    found = {name.removeprefix("text_model."): tensor for name, tensor in found.items()}
    if not open_clip:
        return {f"{prefix}text_model.{name}": tensor for name, tensor in found.items()}
    renamed = {}
    for name, tensor in found.items():
        joined = re.fullmatch(r"encoder\.layers\.(\d+)\.self_attn\.q_proj\.(weight|bias)", name)
        if joined:
            parts = [found[name.replace("q_proj", f"{part}_proj")] for part in "qkv"]
            place = f"transformer.resblocks.{joined[1]}.attn.in_proj_{joined[2]}"
            renamed[f"{prefix}{place}"] = torch.cat(parts)
        elif not re.search(r"self_attn\.[kv]_proj", name):
            turned = tensor.T if name == "text_projection.weight" else tensor
            renamed[f"{prefix}{_replaced(name, _OPEN_CLIP)}"] = turned
    return renamed
