"""Which cross-attention layers a U-Net has, and which of them are read."""

import difflib

from diffusers.models.attention_processor import Attention

READOUT_MODULES = 4
_BLOCKS = {"down_blocks": 0, "mid_block": 1, "up_blocks": 2}


class AttentionError(ValueError):
    """Attention that cannot be read; the sentence says what was found and what was expected."""


def cross_attention_layers(unet) -> tuple[str, ...]:
    """Names of all cross-attention layers in the order in which they run: down, middle, up."""
    names = [n for n, m in unet.named_modules() if isinstance(m, Attention) and m.is_cross_attention]
    if not names:
        raise AttentionError(
            f"{type(unet).__name__} has no cross-attention layer, expected a U-Net that a context conditions"
        )
    return tuple(sorted(names, key=lambda name: _BLOCKS[name.split(".")[0]]))


def readout_layers(unet) -> tuple[str, ...]:
    """The layers that are read unless they are named: of the first four attention modules of the up path the
    last layer each.

    In Stable Diffusion 1 and 2 a module holds one layer, and the first four are StableKeypoints': three at a
    quarter of the latent's side, one at half. SDXL stacks up to ten in a module.
    """
    last: dict[str, str] = {}
    for name in cross_attention_layers(unet):
        if name.startswith("up_blocks."):
            last[name.partition(".transformer_blocks.")[0]] = name
    if len(last) < READOUT_MODULES:
        raise AttentionError(
            f"the U-Net's up path has {len(last)} cross-attention modules, expected {READOUT_MODULES}; "
            "name the layers to read"
        )
    return tuple(last.values())[:READOUT_MODULES]


def checked_layers(unet, layers) -> tuple[str, ...]:
    """The layers to read, in the order in which they run; None takes `readout_layers`.

    An unknown name is an error that shows the nearest ones.
    """
    known = cross_attention_layers(unet)
    for name in layers or ():
        if name not in known:
            nearest = ", ".join(repr(near) for near in difflib.get_close_matches(name, known, 3, 0.0))
            raise AttentionError(
                f"layers: the U-Net has no cross-attention layer {name!r}; the nearest are {nearest}"
            )
    if layers is not None and not layers:
        raise AttentionError(
            "layers: an empty list was given, expected at least one cross-attention layer or None"
        )
    chosen = readout_layers(unet) if layers is None else layers
    return tuple(name for name in known if name in chosen)
