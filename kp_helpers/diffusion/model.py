"""A loaded model: image to latent, latent to noised latent, caption to context."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Diffusion:
    """A frozen latent diffusion model.

    unet, vae, tokenizer, text_encoder, scheduler: the components. name: how it was asked for. fingerprint:
    SHA-256 of the U-Net's weights, vae_fingerprint: of the VAE's, in whatever form they lay. folder: of its
    settings. revision: the hub commit, None for a folder. default_timestep: the noise level at which its
    attention is read best, from `keypoint_kit.json` in the folder; 0 where the folder has none. tokenizer_2,
    text_encoder_2: SDXL's second pair. zeros_when_empty: whether SDXL learned an empty caption as zeros
    (`force_zeros_for_empty_prompt` of its folder).
    """

    unet: torch.nn.Module
    vae: torch.nn.Module
    tokenizer: object
    text_encoder: torch.nn.Module
    scheduler: object
    name: str
    fingerprint: str
    vae_fingerprint: str
    folder: Path
    revision: str | None = None
    default_timestep: int = 0
    tokenizer_2: object = None
    text_encoder_2: torch.nn.Module | None = None
    zeros_when_empty: bool = False

    @property
    def device(self) -> torch.device:
        return self.unet.device

    @property
    def context_width(self) -> int:
        """D, the width of a token embedding."""
        return self.unet.config.cross_attention_dim

    @property
    def image_size(self) -> int:
        """Side in pixels of the square image that the model was trained on."""
        return self.unet.config.sample_size * self.pixels_per_latent

    @property
    def pixels_per_latent(self) -> int:
        """How many pixels of a side become one of the latent's."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @torch.no_grad()
    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        """Latents (B, 4, h, w) of images (B, 3, H, W) in [0,1]: the mean of VAE(2 x - 1) times its scaling
        factor.
        """
        step = self.pixels_per_latent
        if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] % step or images.shape[3] % step:
            found = tuple(images.shape)
            raise ValueError(f"images have shape {found}, expected (B, 3, H, W), H and W multiples of {step}")
        if not images.is_floating_point() or not (images.amin() >= -1e-4 and images.amax() <= 1 + 1e-4):
            found = f"{images.dtype}, {float(images.amin()):.3g} to {float(images.amax()):.3g}"
            raise ValueError(f"images hold {found}, expected floating point numbers in [0,1]")
        images = images.to(self.vae.device, self.vae.dtype)
        mean = self.vae.encode(2 * images - 1).latent_dist.mean
        return mean * self.vae.config.scaling_factor

    def add_noise(
        self,
        latents: torch.Tensor,
        timestep: int,
        generator: torch.Generator | None = None,
        *,
        noise: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """z_t = sqrt(abar_t) z + sqrt(1 - abar_t) eps, of the latents' shape.

        timestep: 0 to the scheduler's last. eps is `noise`, or drawn from the CPU `generator`, one of the
        two.
        """
        if not 0 <= timestep < len(self.scheduler.alphas_cumprod):
            last = len(self.scheduler.alphas_cumprod) - 1
            raise ValueError(
                f"timestep is {timestep}, expected 0 to {last}, the noise levels of {self.name!r}"
            )
        if (noise is None) == (generator is None):
            raise ValueError("add_noise: expected either `generator` or `noise`, one of them and not both")
        noise = torch.randn(latents.shape, generator=generator) if noise is None else noise
        signal = float(self.scheduler.alphas_cumprod[timestep])
        return signal**0.5 * latents + (1 - signal) ** 0.5 * noise.to(latents)

    @torch.no_grad()
    def encode_text(self, captions: list[str]) -> torch.Tensor:
        """The context of captions, (B, L, D), each padded or cut to the tokenizer's length L.

        The text encoder's output; of SDXL what enters the last layer of each of its two encoders, side by
        side (Podell et al., 2023).
        """
        if self.text_encoder_2 is None:
            return _encoded(self.tokenizer, self.text_encoder, captions).last_hidden_state
        pairs = (self.tokenizer, self.text_encoder), (self.tokenizer_2, self.text_encoder_2)
        outputs = [_encoded(*pair, captions, output_hidden_states=True) for pair in pairs]
        return self._emptied(torch.cat([output.hidden_states[-2] for output in outputs], dim=-1), captions)

    @torch.no_grad()
    def pool_text(self, captions: list[str]) -> torch.Tensor:
        """One vector a caption, (B, P), that SDXL's U-Net takes beside the context (`attention_maps`'
        `pooled`): the projected output of its second text encoder.
        """
        if self.text_encoder_2 is None:
            raise ValueError(f"{self.name!r} has one text encoder, expected SDXL's two for a pooled caption")
        return self._emptied(_encoded(self.tokenizer_2, self.text_encoder_2, captions).text_embeds, captions)

    def _emptied(self, encoded: torch.Tensor, captions: list[str]) -> torch.Tensor:
        """Zeros in the rows of empty captions, where the model learned them so."""
        if self.zeros_when_empty:
            encoded[[i for i, caption in enumerate(captions) if not caption]] = 0
        return encoded


def _encoded(tokenizer, encoder: torch.nn.Module, captions: list[str], **options):
    """What a text encoder returns for captions, each padded or cut to its tokenizer's length; a cut warns."""
    longest = tokenizer.model_max_length
    for caption, ids in zip(captions, tokenizer(list(captions)).input_ids if captions else [], strict=True):
        if len(ids) > longest:
            warnings.warn(
                f"caption {caption[:40]!r}: {len(ids)} tokens, cut after {longest}, all that the model reads",
                stacklevel=4,
            )
    tokens = tokenizer(
        captions,
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    return encoder(tokens.input_ids.to(encoder.device), **options)
