"""`attend`: where a model looks on a picture, for words or for learned tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure

from kp_helpers import attention
from kp_helpers.config import randomness
from kp_helpers.diffusion import Diffusion
from kp_helpers.diffusion.words import BESIDE, Word, content_words, rival_words
from kp_helpers.embeddings import Appended
from kp_helpers.notebook import display
from kp_helpers.notebook.kit.pictures import sample_of
from kp_helpers.reading import joint_map


@dataclass(frozen=True, repr=False)
class Attention:
    """Heat maps on one picture.

    maps: (T, h, w), a share of the softmax over the tokens, in [0,1]; those of a keypoint that is read over
    pixels sum to 1 instead. names: of each map. image: (3, H, W) in [0,1], as the model saw it. timestep,
    layers: the noise level and the layers that were read.
    """

    maps: torch.Tensor
    names: tuple[str, ...]
    image: torch.Tensor
    timestep: int
    layers: tuple[str, ...]

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.maps.shape[1:]))
        return f"<maps {size} of {', '.join(self.names)}; noise level {self.timestep}>"

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.maps[self.names.index(name)]

    def show(self) -> Figure:
        """The picture, and each map over it."""
        size = tuple(self.image.shape[1:])
        fine = F.interpolate(self.maps[None].detach().float().cpu(), size=size, mode="bilinear")[0]
        return display.heat_maps(self.image.cpu(), dict(zip(self.names, fine, strict=True)))


def attend(
    model: Diffusion,
    picture,
    words: Sequence | torch.Tensor,
    *,
    beside: str = BESIDE,
    timestep: int | None = None,
    layers: Sequence[str] | None = None,
    seed: int = 0,
) -> Attention:
    """Where the model looks on a picture.

    picture: of any kind and shape that `pictures` takes; it is scaled, not cut, to about as many pixels as
    the model was trained on. words: phrases such as "a red ball", and keypoints that `teach` returned; or a
    context (N, D), in which the maps are differentiable. beside: a caption of what else may be seen, whose
    words compete with those that are asked for; one that describes the picture is best. timestep: the noise
    level, the model's own unless given. layers: of the U-Net; the mean of the read-out layers and their
    heads unless given, which on the figures world points best of all (`python -m kp_helpers.figures
    evaluate`, "pointing levels"). Memory: the weights, one pass of the U-Net without gradients of its
    weights, and T maps of twice the latent's sides: a reading in docs/using.md measured 5.5 GB with Stable
    Diffusion 1.5 in float32 and 7.4 with XL in bfloat16.

    >>> attend(load("figures"), "street.jpg", ["shoes", "a red ball"]).show()
    """
    image = fitted(model, sample_of(picture).image())
    size = tuple(2 * side // model.pixels_per_latent for side in image.shape[1:])
    timestep = model.default_timestep if timestep is None else timestep
    layers = tuple(layers or attention.readout_layers(model.unet))
    noise = randomness.generator(seed, "noise", 0)
    noised = model.add_noise(model.encode_image(image[None]), timestep, noise)
    about = {"image": image, "timestep": timestep, "layers": layers}
    if isinstance(words, torch.Tensor):
        maps = attention.attention_maps(model.unet, noised, timestep, words, layers=layers, size=size)[0]
        return Attention(maps, tuple(f"token {n}" for n in range(len(maps))), **about)
    if isinstance(words, str):
        words = [words]
    phrases = [one for one in words if isinstance(one, str)]
    found = iter(_phrase_maps(model, noised, phrases, beside, timestep, layers, size) if phrases else ())
    maps, names = [], []
    for one in words:
        if isinstance(one, str):
            maps.append(next(found))
            names.append(one)
        else:
            maps.append(_keypoint_map(model, noised, one.appended, timestep, layers, size))
            names.append(one.joint)
    if not maps:
        raise ValueError("words is empty, expected phrases, keypoints or a context (N, D)")
    return Attention(torch.stack(maps), tuple(names), **about)


def fitted(model: Diffusion, image: torch.Tensor) -> torch.Tensor:
    """The image (3, H, W) scaled to about `image_size` squared pixels, its sides what the U-Net can halve."""
    step = model.pixels_per_latent * 2 ** (len(model.unet.config.down_block_types) - 1)
    height, width = image.shape[1:]
    scale = model.image_size / (height * width) ** 0.5
    size = [max(step, round(side * scale / step) * step) for side in (height, width)]
    shrunk = F.interpolate(image[None], size=size, mode="bilinear", antialias=True, align_corners=False)
    return shrunk[0].clamp(0, 1)


def word_maps(
    model: Diffusion,
    asked: list[attention.Query],
    words: Sequence[Word],
    rivals: Sequence[Word],
    size: tuple[int, int],
    head: int | None = None,
) -> torch.Tensor:
    """The map of each of the words, (len(words), h, w): its tokens' sum, of a softmax over the tokens of all
    words and their rivals.

    asked: queries under an empty caption. head: as for `maps_from_queries`.
    """
    competing = [word.tokens for word in (*words, *rivals)]
    maps = attention.maps_from_queries(model.unet, asked, torch.cat(competing), size=size, head=head)[0]
    of_words = maps.split([len(tokens) for tokens in competing])[: len(words)]
    return torch.stack([own.sum(dim=0) for own in of_words])


@torch.no_grad()
def _phrase_maps(
    model: Diffusion,
    noised: torch.Tensor,
    phrases: Sequence[str],
    beside: str,
    timestep: int,
    layers: Sequence[str],
    size: tuple[int, int],
) -> list[torch.Tensor]:
    """The map (h, w) of each phrase: the mean of those of its words, which all compete with one another."""
    of_phrases = [content_words(model, f"a person and {phrase}", after=3) for phrase in phrases]
    words = [word for own in of_phrases for word in own]
    asked = attention.queries(model.unet, noised, timestep, model.encode_text([""])[0], layers=layers)
    maps = word_maps(model, asked, words, rival_words(model, words, beside), size)
    return [own.mean(dim=0) for own in maps.split([len(own) for own in of_phrases])]


@torch.no_grad()
def _keypoint_map(
    model: Diffusion,
    noised: torch.Tensor,
    appended: Appended,
    timestep: int,
    layers: Sequence[str],
    size: tuple[int, int],
) -> torch.Tensor:
    """The map (h, w) of a keypoint on noised latents (1, C, h', w')."""
    asked = attention.queries(model.unet, noised, timestep, appended.conditioning, layers=layers)
    return joint_map(model, appended, asked, size)[0]
