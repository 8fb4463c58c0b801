"""What the appended stage learned for one joint: its tokens, and how they are read."""

from dataclasses import dataclass, replace

import torch

from kp_helpers.embeddings import append

MODES = ("coupled", "readout")


@dataclass(frozen=True)
class Appended:
    """What the appended stage learned for one joint.

    base: (N, D), frozen. tokens: (M, D), learned, or (M, L D) with a part for each of L read-out layers.
    readout: as `AppendedStage.readout`; best: the token of "best", else None. mode: "coupled" or "readout",
    whether `tokens` condition the U-Net too. rivals: as tokens, learned for the other side's joint, in the
    context whenever `tokens` are. midline: whether the joint is its own mirror image, as the head is.
    """

    base: torch.Tensor
    tokens: torch.Tensor
    readout: str = "sum"
    best: int | None = None
    mode: str = "coupled"
    rivals: torch.Tensor | None = None
    midline: bool = False

    def __post_init__(self):
        if self.mode not in MODES:
            raise ValueError(f"mode is {self.mode!r}, expected one of {', '.join(MODES)}")
        if self.rivals is not None and self.readout == "best":
            raise ValueError("readout is 'best' and there are rivals, expected 'sum' or 'mean' beside them")

    @property
    def learned(self) -> torch.Tensor:
        """The tokens and, behind them, the rivals where there are any: M or 2 M tokens."""
        return self.tokens if self.rivals is None else append(self.tokens, self.rivals)

    @property
    def context(self) -> torch.Tensor:
        """[e_base ; e_app ; e_rivals], N + M or N + 2 M tokens, all as wide as the learned ones."""
        return append(widened(self.base, self.tokens.shape[1]), self.learned)

    @property
    def conditioning(self) -> torch.Tensor:
        """What conditions the U-Net: the whole context in coupled mode, the base alone in read-out mode."""
        return self.context if self.mode == "coupled" else self.base

    @property
    def mirrored(self) -> "Appended":
        """What finds the joint in the mirrored picture, where it looks like the other side's.

        Raises ValueError if nothing was learned for the other side.
        """
        if self.midline:
            return self
        if self.rivals is None:
            raise ValueError("mirror is True, expected False for a joint with neither rivals nor a midline")
        return replace(self, tokens=self.rivals, rivals=self.tokens)

    def tensors(self) -> dict[str, torch.Tensor]:
        """What `embeddings.save` keeps: base, appended and, where there are any, rivals."""
        found = {"base": self.base, "appended": self.tokens}
        return found if self.rivals is None else found | {"rivals": self.rivals}


def widened(tokens: torch.Tensor, width: int) -> torch.Tensor:
    """Tokens (N, D) that are the same for every layer, as (N, width), width a multiple of D."""
    return tokens.repeat(1, width // tokens.shape[1])
