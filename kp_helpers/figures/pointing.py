"""Does a word's attention land on its thing, and do the words of limbs find their limb, on the right side?"""

from collections import defaultdict
from collections.abc import Iterator

import torch
from tqdm.auto import tqdm
from transformers import CLIPTokenizer

from kp_helpers import attention, metrics
from kp_helpers.diffusion import Diffusion
from kp_helpers.figures.captions import Caption
from kp_helpers.figures.held_out import HeldOut
from kp_helpers.figures.render import Picture
from kp_helpers.figures.scene import CLOTHES, LIMBS, THINGS

WORDS = CLOTHES + THINGS
LEVELS = (50, 100, 200, 300, 400, 500, 600, 700, 800)
"""Noise levels of the table."""
_NOISE_SEED = 77


def pointing_hits(diffusion: Diffusion, pictures: HeldOut, timestep: int) -> list[dict]:
    """`word_rows` of all pictures."""
    return [row for one in word_maps(diffusion, pictures, timestep) for row in word_rows(*one)]


@torch.no_grad()
def word_maps(
    diffusion: Diffusion, pictures: HeldOut, timestep: int
) -> Iterator[tuple[Picture, Caption, dict[str, torch.Tensor]]]:
    """Of each picture: itself, its caption, and the maps (1 + words, 128, 128) of the start token and of the
    caption's words, by read-out layer and as the "mean" over the layers.
    """
    numbered = enumerate(zip(pictures.pictures, pictures.captions, strict=True))
    for number, (picture, caption) in tqdm(
        numbered, desc=f"pointing, t = {timestep}", total=len(pictures.pictures), leave=False
    ):
        maps = _layer_maps(diffusion, picture.image, caption, timestep, number)
        yield picture, caption, maps


def word_rows(picture: Picture, caption: Caption, maps: dict[str, torch.Tensor]) -> list[dict]:
    """One row for each named thing and layer: word, role, layer, and whether the maximum hit its mask.

    `role` is "noun", "colour" or "phrase", the mean of both maps; `layer` is a read-out layer or "mean".
    """
    rows = []
    for label, entity in named(caption, WORDS):
        tokens = caption.tokens_of(label, entity)
        if not {"noun", "colour"} <= tokens.keys() or max(tokens.values()) >= len(maps["mean"]):
            continue
        mask = torch.from_numpy(picture.mask(label, entity)).flatten()
        roles = {"phrase": [tokens["noun"], tokens["colour"]]}
        roles |= {role: [tokens[role]] for role in ("noun", "colour")}
        for role, places in roles.items():
            for layer, own in maps.items():
                hit = bool(mask[own[places].mean(dim=0).argmax()])
                rows.append({"word": label, "role": role, "layer": layer, "hit": hit})
    return rows


def named(caption: Caption, labels: tuple[str, ...]) -> list[tuple[str, str]]:
    """The (label, entity) pairs with one of the `labels` that the caption names, in its order."""
    pairs = [(tag.label, tag.entity) for tag in caption.tags if tag is not None and tag.label in labels]
    return list(dict.fromkeys(pairs))


def by_word(rows: list[dict], role: str = "phrase", layer: str = "mean") -> dict[str, float]:
    """Share of hits of every word."""
    hits = defaultdict(list)
    for row in rows:
        if row["role"] == role and row["layer"] == layer:
            hits[row["word"]].append(row["hit"])
    return {word: sum(hits[word]) / len(hits[word]) for word in WORDS if hits[word]}


def mean_over_words(shares: dict[str, float]) -> float:
    """The mean share, every word counting alike."""
    return sum(shares.values()) / len(shares)


def _layer_maps(
    diffusion: Diffusion, image, caption: Caption, timestep: int, seed: int
) -> dict[str, torch.Tensor]:
    pixels = torch.tensor(image).permute(2, 0, 1)[None].float() / 255
    generator = torch.Generator().manual_seed(_NOISE_SEED + seed)
    latents = diffusion.add_noise(diffusion.encode_image(pixels), timestep, generator)
    context = diffusion.encode_text([caption.text])
    pieces = pieces_of(diffusion.tokenizer, caption)
    maps = {}
    for query in attention.queries(diffusion.unet, latents, timestep, context):
        of_tokens = attention.maps_from_queries(diffusion.unet, [query], context, size=len(image))[0].cpu()
        maps[query.layer] = torch.stack([of_tokens[part].mean(dim=0) for part in pieces])
    return maps | {"mean": torch.stack(list(maps.values())).mean(dim=0)}


def pieces_of(tokenizer: CLIPTokenizer, caption: Caption) -> list[slice]:
    """The tokens of the start and of each word, as far as the tokenizer's context reaches.

    The shipped tokenizer has one token a word. One of an older world cuts words that it does not know into
    pieces, and all words behind them stand later.
    """
    first, pieces = 1, [slice(0, 1)]
    for word in caption.words:
        last = first + len(tokenizer(word, add_special_tokens=False).input_ids)
        if last >= tokenizer.model_max_length:  # the context's last place is the end token's
            break
        pieces.append(slice(first, last))
        first = last
    return pieces


def limb_rows(picture: Picture, caption: Caption, maps: dict[str, torch.Tensor]) -> list[dict]:
    """One row for each limb that the caption names: limb, and whether the maximum of its phrase, the mean of
    the maps of its two words, lies on the limb (`inside`) or on that of the person's other side (`other`).

    maps: as `pointing.word_maps` gives them; the mean over layers counts.
    """
    rows = []
    for limb, entity in named(caption, LIMBS):
        tokens = caption.tokens_of(limb, entity)
        places = [tokens["side"], tokens["noun"]]
        if max(places) >= len(maps["mean"]):
            continue
        top = int(maps["mean"][places].mean(dim=0).argmax())
        inside, other = (bool(picture.mask(which, entity).flat[top]) for which in (limb, other_side(limb)))
        rows.append({"limb": limb, "inside": inside, "other": other})
    return rows


def other_side(limb: str) -> str:
    """ "right arm" of "left arm", and so on."""
    return metrics.mirrored(limb.replace(" ", "_")).replace("_", " ")


def by_limb(rows: list[dict]) -> dict[str, dict[str, float | None]]:
    """Of each limb that is named: the shares `inside` and `other` of its `n` phrases, and `wrong_side`, the
    share of the other side's among the maxima on either (None where there is none; .5 is knowing nothing).
    """
    shares = {}
    for limb in LIMBS:
        own = [row for row in rows if row["limb"] == limb]
        if not own:
            continue
        inside, other = (sum(row[place] for row in own) for place in ("inside", "other"))
        shares[limb] = {
            "inside": inside / len(own),
            "other": other / len(own),
            "wrong_side": other / (inside + other) if inside + other else None,
            "n": len(own),
        }
    return shares
