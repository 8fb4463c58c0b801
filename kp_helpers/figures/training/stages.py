"""The stages of the training in order, each resumable; what one writes, the next ones read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from PIL import Image
from transformers import CLIPModel, CLIPTokenizer

from kp_helpers.diffusion import FIGURES
from kp_helpers.figures.held_out import held_out
from kp_helpers.figures.model import assemble, generate, text_tower
from kp_helpers.figures.pictures import load_pictures, make_pictures
from kp_helpers.figures.tokens import build_tokenizer
from kp_helpers.figures.training import batches
from kp_helpers.figures.training import clip as clip_stage
from kp_helpers.figures.training import unet as unet_stage
from kp_helpers.figures.training import vae as vae_stage
from kp_helpers.figures.training.loop import LoopSettings, train
from kp_helpers.files import replace_file

PICTURES = 24_000
SEEDS = {"vae": 1, "clip": 1, "vision": 4, "judge": 2, "unet": 3}
_ENCODED_FOR_SCALE = 512
_SAMPLES = 32


class Training:
    """Training in `folder` on `device`; every method is one stage, its part goes to `folder/parts`.

    `steps` replaces the recipe's number of steps, to train shorter or longer.
    """

    def __init__(self, folder: Path, device: str = "cpu", steps: int | None = None, pictures: int = PICTURES):
        self.folder, self.device, self.steps, self.count = Path(folder), device, steps, pictures
        self.parts = self.folder / "parts"

    def pictures(self) -> None:
        """Render the training pictures."""
        make_pictures(self.folder / "pictures", self.count)

    def vae(self) -> None:
        """Train the autoencoder and set its scaling factor."""
        self._train_vae("vae", self._new("vae", vae_stage.new_vae), vae_stage.SETTINGS)

    def decoder(self) -> None:
        """Go on with the decoder alone: sharper pictures, the same latents."""
        vae = AutoencoderKL.from_pretrained(self.parts / "vae")
        for part in (vae.encoder, vae.quant_conv):
            part.requires_grad_(False)
        self._train_vae("decoder", vae, vae_stage.DECODER_SETTINGS)

    def clip(self) -> None:
        """Train the CLIP whose text tower conditions the U-Net."""
        self._train_clip("clip", self._new_clip("clip"), clip_stage.SETTINGS, clip_stage.CROPPED)

    def vision(self) -> None:
        """Go on with the CLIP's vision tower on more crops; the text tower stays as it is."""
        clip = CLIPModel.from_pretrained(self.parts / "clip")
        clip.text_model.requires_grad_(False)
        self._train_clip(
            "vision", clip.to(self.device), clip_stage.VISION_SETTINGS, clip_stage.VISION_CROPPED
        )

    def judge(self) -> None:
        """Train a second CLIP from another seed, which judges generated samples."""
        self._train_clip("judge", self._new_clip("judge"), clip_stage.JUDGE_SETTINGS, clip_stage.CROPPED)

    def unet_half(self) -> None:
        """Train the U-Net on pictures of half the size."""
        draw = batches.whole(self._latents(2), self._captions(), unet_stage.HALF_BATCH)
        self._train_unet(
            "unet_half",
            self._new("unet", unet_stage.new_unet),
            unet_stage.HALF_SETTINGS,
            draw,
            unet_stage.WORDS,
        )

    def unet_windows(self) -> None:
        """Go on with windows at full scale, mixed with halved pictures."""
        crops = load_pictures(self.folder / "pictures", self.count).crops
        inside = batches.windows(self._latents(1), crops, unet_stage.WINDOW_BATCH)
        rest = unet_stage.HALF_BATCH - unet_stage.WINDOW_BATCH
        draw = batches.mixed(inside, batches.whole(self._latents(2), self._captions(), rest))
        self._train_unet(
            "unet_windows", self._unet("unet_half"), unet_stage.WINDOW_SETTINGS, draw, unet_stage.WORDS
        )

    def unet(self) -> None:
        """Go on with whole pictures."""
        draw = batches.whole(self._latents(1), self._captions(), unet_stage.BATCH)
        self._train_unet("unet", self._unet("unet_windows"), unet_stage.SETTINGS, draw, unet_stage.FEATURES)

    def shipped(self) -> None:
        """Take the shipped model apart, so that any later stage goes on from it instead of from nothing."""
        for part in ("vae", "decoder"):
            AutoencoderKL.from_pretrained(FIGURES / "vae").save_pretrained(self.parts / part)
        for part in ("unet_half", "unet_windows"):
            UNet2DConditionModel.from_pretrained(FIGURES / "unet").save_pretrained(self.parts / part)
        for part, source in (("clip", "clip"), ("vision", "clip"), ("judge", "judge")):
            CLIPModel.from_pretrained(FIGURES / source).save_pretrained(self.parts / part)

    def assemble(self, target: Path = FIGURES) -> None:
        """Put the trained parts together into a pipeline folder in float16."""
        assemble(
            target,
            vae=AutoencoderKL.from_pretrained(self.parts / "decoder"),
            unet=UNet2DConditionModel.from_pretrained(self.parts / "unet"),
            clip=CLIPModel.from_pretrained(self.parts / "vision"),
            judge=CLIPModel.from_pretrained(self.parts / "judge"),
            tokenizer=self._tokenizer(),
            scheduler=unet_stage.new_scheduler(),
        )

    def samples(self, target: Path = FIGURES) -> None:
        """Generate pictures of held-out captions into `folder/samples.png`, to be looked at."""
        images = generate(held_out(_SAMPLES).texts, folder=target)
        rows = images.reshape(4, _SAMPLES // 4, *images.shape[1:])
        grid = np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0)
        replace_file(self.folder / "samples.png", lambda partial: Image.fromarray(grid).save(partial))

    def _settings(self, settings: LoopSettings) -> LoopSettings:
        return replace(settings, steps=self.steps) if self.steps else settings

    def _new(self, part: str, make) -> torch.nn.Module:
        torch.manual_seed(SEEDS[part])
        return make().to(self.device, memory_format=torch.channels_last)

    def _new_clip(self, part: str) -> CLIPModel:
        return self._new(part, lambda: clip_stage.new_clip(self._tokenizer()))

    def _tokenizer(self) -> CLIPTokenizer:
        return build_tokenizer(self.parts / "tokenizer")

    def _train_vae(self, part: str, vae: AutoencoderKL, settings: LoopSettings) -> None:
        images = load_pictures(self.folder / "pictures", self.count).images
        loss = vae_stage.vae_loss(vae.to(self.device), images, self.device)
        average = train(vae, loss, self._settings(settings), self.folder / part, self.device)
        if part == "vae":  # the latents, and so their scale, do not change afterwards
            vae_stage.set_scaling_factor(average, images[:_ENCODED_FOR_SCALE], self.device)
        average.save_pretrained(self.parts / part)

    def _train_clip(self, part: str, clip: CLIPModel, settings: LoopSettings, cropped: float) -> None:
        pictures = load_pictures(self.folder / "pictures", self.count)
        loss = clip_stage.clip_loss(clip, self._tokenizer(), pictures, self.device, SEEDS[part], cropped)
        average = train(clip, loss, self._settings(settings), self.folder / part, self.device)
        average.save_pretrained(self.parts / part)

    def _train_unet(
        self,
        part: str,
        unet,
        settings: LoopSettings,
        draw: batches.Draw,
        levels: unet_stage.NoiseLevels,
    ) -> None:
        tower = text_tower(CLIPModel.from_pretrained(self.parts / "clip")).to(self.device)
        loss = unet_stage.unet_loss(unet, tower, self._tokenizer(), draw, levels, self.device)
        average = train(unet, loss, self._settings(settings), self.folder / part, self.device)
        average.save_pretrained(self.parts / part)

    def _unet(self, part: str) -> UNet2DConditionModel:
        """The U-Net of an earlier stage, to go on with."""
        unet = UNet2DConditionModel.from_pretrained(self.parts / part)
        return unet.to(self.device, memory_format=torch.channels_last)

    def _captions(self) -> list[list[str]]:
        return load_pictures(self.folder / "pictures", self.count).captions

    def _latents(self, shrink: int) -> torch.Tensor:
        """Latents of all pictures, from disk if they were encoded before."""
        path = self.folder / f"latents_{32 // shrink}.npy"
        if not path.exists():
            images = load_pictures(self.folder / "pictures", self.count).images
            vae = AutoencoderKL.from_pretrained(self.parts / "vae").to(self.device).requires_grad_(False)
            latents = batches.encode_pictures(vae, images, self.device, shrink).numpy()
            replace_file(path, lambda partial: np.save(partial, latents))
        return torch.from_numpy(np.load(path))


STAGES = (
    "pictures",
    "vae",
    "decoder",
    "clip",
    "vision",
    "judge",
    "unet_half",
    "unet_windows",
    "unet",
    "assemble",
    "samples",
)
"""Names of the stages in the order in which they run."""
RESTART = "shipped"
"""Stands for all stages before the U-Net's: `--stage shipped --stage unet` trains the model further."""
