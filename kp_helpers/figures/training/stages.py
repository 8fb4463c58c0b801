"""The stages of the training in order, each resumable; what one writes, the next ones read."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from PIL import Image
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer

from kp_helpers.diffusion import FIGURES, SHIPPED, load
from kp_helpers.figures import pictures
from kp_helpers.figures.held_out import held_out
from kp_helpers.figures.lexicon import build_tokenizer
from kp_helpers.figures.model import add_clips, assemble, generate, text_tower
from kp_helpers.figures.pictures import load_pictures, make_pictures
from kp_helpers.figures.training import batches
from kp_helpers.figures.training import clip as clip_stage
from kp_helpers.figures.training import unet as unet_stage
from kp_helpers.figures.training import vae as vae_stage
from kp_helpers.figures.training.batches import Shelf
from kp_helpers.figures.training.grounding import Recorded
from kp_helpers.figures.training.loop import LoopSettings, train
from kp_helpers.figures.training.rendering import rendered
from kp_helpers.store import replace_file

PICTURES = 24_000
SEEDS = {"vae": 1, "clip": 1, "judge": 2, "unet": 3}
_ENCODED_FOR_SCALE = 512
_SAMPLES = 32


class Training:
    """Training in `folder` on `device`; every method is one stage, its part goes to `folder/parts`.

    `steps` replaces the recipe's number of steps, to train shorter or longer; `minutes` lets the clock end
    the U-Net's stages instead.
    """

    def __init__(
        self,
        folder: Path,
        device: str = "cpu",
        steps: int | None = None,
        pictures: int = PICTURES,
        minutes: float | None = None,
    ):
        self.folder, self.device, self.steps, self.count = Path(folder), device, steps, pictures
        self.minutes = minutes
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
        """Train the CLIP whose text tower the U-Net begins with."""
        self._train_clip("clip", clip_stage.SETTINGS)

    def judge(self) -> None:
        """Train a second CLIP from another seed, which judges generated samples."""
        self._train_clip("judge", clip_stage.JUDGE_SETTINGS)

    def unet(self) -> None:
        """Train the U-Net: denoising, and grounding beside it."""
        self._train_unet("unet", grounded=True)

    def plain(self) -> None:
        """Train the plain twin: the same start and samples, denoising alone."""
        self._train_unet("plain", grounded=False)

    def shipped(self) -> None:
        """Take the shipped models apart, so that any stage goes on from them instead of from nothing."""
        for part, twin in (("unet", SHIPPED["figures"]), ("plain", SHIPPED["figures-plain"])):
            start = self.parts / "start" / part
            UNet2DConditionModel.from_pretrained(twin / "unet").save_pretrained(start / "unet")
            CLIPTextModel.from_pretrained(twin / "text_encoder").save_pretrained(start / "text_encoder")
        shutil.copytree(FIGURES / "tokenizer", self.parts / "tokenizer", dirs_exist_ok=True)
        for part in ("vae", "decoder"):
            AutoencoderKL.from_pretrained(FIGURES / "vae").save_pretrained(self.parts / part)
        for part in ("clip", "judge"):
            CLIPModel.from_pretrained(FIGURES / part).save_pretrained(self.parts / part)

    def assemble(self, target: Path = FIGURES) -> None:
        """Put the trained parts together in float16: the grounded model, and its plain twin beside it."""
        for part, folder in (("unet", target), ("plain", target.with_name(f"{target.name}_plain"))):
            assemble(
                folder,
                vae=AutoencoderKL.from_pretrained(self.parts / "decoder"),
                unet=UNet2DConditionModel.from_pretrained(self.parts / part / "unet"),
                text_encoder=CLIPTextModel.from_pretrained(self.parts / part / "text_encoder"),
                tokenizer=self._tokenizer(),
                scheduler=unet_stage.new_scheduler(),
            )
        add_clips(target, *(CLIPModel.from_pretrained(self.parts / part) for part in ("clip", "judge")))

    def samples(self, target: Path = FIGURES) -> None:
        """Generate pictures of held-out captions into `folder/samples.png`, to be looked at."""
        images = generate(load(target), held_out(_SAMPLES).texts)
        rows = images.reshape(4, _SAMPLES // 4, *images.shape[1:])
        grid = np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0)
        replace_file(self.folder / "samples.png", lambda partial: Image.fromarray(grid).save(partial))

    def _settings(self, settings: LoopSettings) -> LoopSettings:
        return replace(settings, steps=self.steps) if self.steps else settings

    def _new(self, part: str, make) -> torch.nn.Module:
        torch.manual_seed(SEEDS[part])
        return make().to(self.device, memory_format=torch.channels_last)

    def _tokenizer(self) -> CLIPTokenizer:
        """Built once: ties between byte pairs fall either way, and all stages must number words alike."""
        folder = self.parts / "tokenizer"
        return CLIPTokenizer.from_pretrained(folder) if folder.exists() else build_tokenizer(folder)

    def _train_vae(self, part: str, vae: AutoencoderKL, settings: LoopSettings) -> None:
        images = load_pictures(self.folder / "pictures", self.count).images
        loss = vae_stage.vae_loss(vae.to(self.device), images, self.device)
        average = train(vae, loss, self._settings(settings), self.folder / part, self.device)
        if part == "vae":  # the latents, and so their scale, do not change afterwards
            vae_stage.set_scaling_factor(average, images[:_ENCODED_FOR_SCALE], self.device)
        average.save_pretrained(self.parts / part)

    def _train_clip(self, part: str, settings: LoopSettings) -> None:
        clip = self._new(part, lambda: clip_stage.new_clip(self._tokenizer()))
        shown = load_pictures(self.folder / "pictures", self.count)
        loss = clip_stage.clip_loss(clip, self._tokenizer(), shown, self.device, SEEDS[part])
        average = train(clip, loss, self._settings(settings), self.folder / part, self.device)
        average.save_pretrained(self.parts / part)

    def _train_unet(self, part: str, grounded: bool) -> None:
        """Train to the recipe's samples, or with `minutes` by the clock.

        The grounded twin's text tower learns along: contrast with whole pictures taught it no sides.
        """
        settings = self._settings(unet_stage.SETTINGS[self.device])
        if self.minutes:
            settings = replace(settings, minutes=unet_stage.CLOCK[part] * self.minutes, save_minutes=0.5)
        start = self.parts / "start" / part
        if start.exists():
            settings = replace(settings, learning_rate=unet_stage.FURTHER * settings.learning_rate)
            unet = UNet2DConditionModel.from_pretrained(start / "unet")
            tower = CLIPTextModel.from_pretrained(start / "text_encoder")
        else:
            unet = self._new("unet", unet_stage.new_unet)
            tower = text_tower(CLIPModel.from_pretrained(self.parts / "clip"))
        model = Recorded(unet, tower.requires_grad_(grounded))
        model.to(self.device, memory_format=torch.channels_last)
        with self._shelf() as shelf:
            loss = unet_stage.unet_loss(model, shelf, unet_stage.BATCH[self.device], grounded, self.device)
            average = train(model, loss, settings, self.folder / part, self.device)
        average.unet.save_pretrained(self.parts / part / "unet")
        average.tower.save_pretrained(self.parts / part / "text_encoder")

    @contextmanager
    def _shelf(self) -> Iterator[Shelf]:
        """The pictures as latents: all of them on a CPU, so that a run is repeatable; else those that are
        rendered so far, and the others as they come.
        """
        vae = AutoencoderKL.from_pretrained(self.parts / "vae").to(self.device).requires_grad_(False)
        shelf = Shelf(self._tokenizer(), self.device)
        count = -(-self.count // pictures.SHARD)
        folder = self.folder / "pictures"
        folder.mkdir(parents=True, exist_ok=True)
        jobs = [(folder, number) for number in range(count)]
        put = partial(_put, shelf, vae, self.device)
        with rendered(
            pictures.make_shard,
            jobs,
            put,
            enough=lambda: self.device != "cpu" and len(shelf) > 0,
            about="latents",
        ):
            yield shelf


def _put(shelf: Shelf, vae, device: str, path: Path) -> None:
    """Put a shard that is rendered on the shelf."""
    latents = path.with_name(f"{path.stem}.latents.npy")
    shard = pictures.load_shard(path)
    if not latents.exists():
        encoded = batches.encode_pictures(vae, shard.images, device).numpy()
        replace_file(latents, lambda aside: np.save(aside, encoded))
    shelf.add(torch.from_numpy(np.load(latents)), shard.naming)


STAGES = (
    "pictures",
    "vae",
    "decoder",
    "clip",
    "judge",
    "unet",
    "plain",
    "assemble",
    "samples",
)
"""Names of the stages in the order in which they run."""
RESTART = "shipped"
"""Stands for all stages before the U-Net's: `--stage shipped --stage unet` trains the model further."""
