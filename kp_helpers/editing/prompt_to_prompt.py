"""Prompt-to-Prompt (Hertz et al., 2022): two captions, one noise, and attention that is handed over.

Pictures of a caption and of its edited caption are made side by side. While the layout is decided, the second
takes its attention from the first, so that only what the words changed changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler
from torch.nn import functional

from kp_helpers.attention.unet_pass import processors
from kp_helpers.diffusion import Diffusion

SELF_TOKENS = 16**2
"""Self-attention is handed over in layers with at most as many pixels."""
BLEND_SIDE, BLEND_THRESHOLD = 16, 0.3
STEPS, GUIDANCE = 20, 4.0
"""The paper takes 50 steps and 7.5; the figures model was made for less."""


@dataclass(frozen=True)
class Control:
    """How attention is handed over. mapper (n, L, L): which source token each target token looks like;
    shared (n, L): 1 where a target token has such a one; scales (n, L): what its attention is multiplied
    by. cross_until, self_until: share of the steps, from the first; self_until may be (n,), a share a pair.
    blend: words (n, 2, L) bool whose places alone may change, or None.
    """

    mapper: torch.Tensor
    shared: torch.Tensor
    scales: torch.Tensor
    cross_until: float = 0.8
    self_until: float | torch.Tensor = 0.4
    blend: torch.Tensor | None = None

    def on(self, like: torch.Tensor) -> "Control":
        """The same on a tensor's device and in its precision."""
        names = ("mapper", "shared", "scales")
        return replace(self, **{name: getattr(self, name).to(like) for name in names})

    def cross(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """A* = scale [f(A_src) a + A_tgt (1 - a)], of attention (n, heads, pixels, L)."""
        moved = torch.einsum("nhpi,nij->nhpj", source, self.mapper)
        shared = self.shared[:, None, None]
        return (moved * shared + target * (1 - shared)) * self.scales[:, None, None]


def replaced(diffusion: Diffusion, captions: Sequence[str], edited: Sequence[str], **options) -> Control:
    """Word i of the edited caption takes the attention of word i; both must have as many tokens."""
    for pair in zip(captions, edited, strict=True):
        counts = [len(tokens_of(diffusion, caption)) for caption in pair]
        if counts[0] != counts[1]:
            raise ValueError(f"captions of {counts[0]} and {counts[1]} tokens, expected as many: use refined")
    length = diffusion.tokenizer.model_max_length
    ones = torch.ones(len(captions), length)
    return Control(torch.eye(length).expand(len(captions), -1, -1), ones, ones, **options)


def refined(diffusion: Diffusion, captions: Sequence[str], edited: Sequence[str], **options) -> Control:
    """Words that both captions have, in order, take the source's attention; new words have their own."""
    length = diffusion.tokenizer.model_max_length
    mapper, shared = torch.zeros(len(captions), length, length), torch.zeros(len(captions), length)
    for number, pair in enumerate(zip(captions, edited, strict=True)):
        tokens = [tokens_of(diffusion, caption, padded=True) for caption in pair]
        for target, source in enumerate(aligned(*tokens)):
            if source >= 0:
                mapper[number, source, target] = shared[number, target] = 1
    return Control(mapper, shared, torch.ones_like(shared), **options)


def reweighted(control: Control, token: int, scale: float) -> Control:
    """The same, with the attention of one token of the edited caption multiplied, not normalised again."""
    scales = control.scales.clone()
    scales[:, token] = scale
    return replace(control, scales=scales)


def blended(diffusion: Diffusion, captions, edited, control: Control) -> Control:
    """The same, and only the places of words that one of the two captions alone has may change."""
    words = torch.zeros(len(captions), 2, diffusion.tokenizer.model_max_length, dtype=torch.bool)
    for number, pair in enumerate(zip(captions, edited, strict=True)):
        tokens = [tokens_of(diffusion, caption) for caption in pair]
        partners = aligned(*tokens)
        words[number, 1, [t for t, s in enumerate(partners) if s < 0]] = True
        words[number, 0, [s for s in range(len(tokens[0])) if s not in partners]] = True
    return replace(control, blend=words)


def tokens_of(diffusion: Diffusion, caption: str, padded: bool = False) -> list[int]:
    """Token numbers of a caption, start and end included."""
    options = {"padding": "max_length"} if padded else {}
    return diffusion.tokenizer(caption, truncation=True, **options).input_ids


def aligned(source: Sequence[int], target: Sequence[int]) -> list[int]:
    """For each target token its partner's place in the source, or -1 (Needleman and Wunsch, 1970).

    A match scores 1, a mismatch -1, a gap 0; aligned tokens that differ are no partners.
    """
    score = [[0] * (len(target) + 1) for _ in range(len(source) + 1)]
    for i, one in enumerate(source, 1):
        for j, other in enumerate(target, 1):
            diagonal = score[i - 1][j - 1] + (1 if one == other else -1)
            score[i][j] = max(diagonal, score[i - 1][j], score[i][j - 1])
    partners = [-1] * len(target)
    i, j = len(source), len(target)
    while i and j:
        if source[i - 1] == target[j - 1] and score[i][j] == score[i - 1][j - 1] + 1:
            i, j = i - 1, j - 1
            partners[j] = i
        elif score[i][j] == score[i - 1][j]:
            i -= 1
        else:
            j -= 1
    return partners


@torch.no_grad()
def generate_pairs(
    diffusion: Diffusion,
    captions: Sequence[str],
    edited: Sequence[str],
    control: Control | None = None,
    *,
    seed: int = 0,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
    start: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents (n, 4, h, w) of captions and of their edited captions, from the same noise.

    control: None hands nothing over. start: noised latents (n, 4, h, w), as `inverted` gives them; the first
    picture is then not guided, so that it comes out as the one that was inverted.
    """
    n, side = len(captions), diffusion.unet.config.sample_size
    schedule = DDIMScheduler.from_config(diffusion.scheduler.config, clip_sample=False)
    schedule.set_timesteps(steps)
    noise = torch.randn(n, 4, side, side, generator=torch.Generator().manual_seed(seed))
    noised = (noise if start is None else start).repeat(2, 1, 1, 1).to(diffusion.device)
    context = diffusion.encode_text([""] * 2 * n + [*captions, *edited])
    scale = torch.full((2 * n, 1, 1, 1), guidance, device=noised.device)
    if start is not None:
        scale[:n] = 1
    exchange = _Exchange(control and control.on(context), n, steps)
    layers = {
        name: exchange for name, m in diffusion.unet.named_modules() if name.endswith((".attn1", ".attn2"))
    }
    with processors(diffusion.unet, layers):
        for step, timestep in enumerate(schedule.timesteps):
            exchange.step = step
            out = diffusion.unet(noised.repeat(2, 1, 1, 1).to(context), timestep, context).sample.float()
            silent, told = out.chunk(2)
            noised = schedule.step(silent + scale * (told - silent), timestep, noised).prev_sample
            noised = exchange.blend(noised)
    return noised[:n].cpu(), noised[n:].cpu()


@torch.no_grad()
def inverted(
    diffusion: Diffusion, latents: torch.Tensor, captions: Sequence[str], steps: int = STEPS
) -> torch.Tensor:
    """The noise (n, 4, h, w) from which unguided DDIM makes these latents again: the way to real pictures."""
    schedule = DDIMInverseScheduler.from_config(diffusion.scheduler.config, clip_sample=False)
    schedule.set_timesteps(steps)
    context, latents = diffusion.encode_text(list(captions)), latents.to(diffusion.device)
    for timestep in schedule.timesteps:
        predicted = diffusion.unet(latents.to(context), timestep, context).sample.float()
        latents = schedule.step(predicted, timestep, latents).prev_sample
    return latents.cpu()


class _Exchange:
    """Attention processor of all layers: attends as usual, and hands attention over between the halves."""

    def __init__(self, control: Control | None, n: int, steps: int):
        self.control, self.n, self.steps, self.step = control, n, steps, 0
        self.maps: list[torch.Tensor] = []

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, **_):
        crosses = encoder_hidden_states is not None
        context = encoder_hidden_states if crosses else hidden_states
        query, key, value = (
            part.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for part in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context))
        )
        if self.control is None or (not crosses and query.shape[2] > SELF_TOKENS):
            out = functional.scaled_dot_product_attention(query, key, value)
        else:
            shares = (query @ key.transpose(-1, -2) * attn.scale).softmax(dim=-1)
            out = self._handed_over(shares, crosses).to(value.dtype) @ value
        return attn.to_out[1](attn.to_out[0](out.transpose(1, 2).flatten(2)))

    def _handed_over(self, shares: torch.Tensor, crosses: bool) -> torch.Tensor:
        """Rows of a batch: 2n without words, then n of the captions, then n of the edited ones."""
        source, target = shares[2 * self.n : 3 * self.n], shares[3 * self.n :]
        control, done = self.control, self.step / self.steps
        if crosses and control.blend is not None and shares.shape[2] == BLEND_SIDE**2:
            self.maps.append(torch.stack([source.mean(1), target.mean(1)], dim=1))
        if crosses and done < control.cross_until:
            target = control.cross(source, target)
        elif not crosses:
            taken = torch.as_tensor(control.self_until, device=target.device) > done
            target = torch.where(taken.view(-1, 1, 1, 1), source, target)
        return torch.cat([shares[: 3 * self.n], target])

    def blend(self, noised: torch.Tensor) -> torch.Tensor:
        """The second picture outside the places of the changed words is the first."""
        if not self.maps:
            return noised
        maps = torch.stack(self.maps).mean(0)  # (n, 2, pixels, L)
        of_words = (
            (maps * self.control.blend[:, :, None].to(maps)).sum(-1).unflatten(-1, (BLEND_SIDE, BLEND_SIDE))
        )
        wide = functional.interpolate(functional.max_pool2d(of_words, 3, 1, 1), noised.shape[-2:])
        wide = wide / wide.amax(dim=(-1, -2), keepdim=True).clamp_min(1e-6)
        mask = (wide > BLEND_THRESHOLD).any(dim=1, keepdim=True)
        first, second = noised.chunk(2)
        return torch.cat([first, torch.where(mask, second, first)])
