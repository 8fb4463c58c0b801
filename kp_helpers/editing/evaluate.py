"""The whole evaluation of the instructed model, which takes minutes: what `evaluation.json` holds; and of
the pairs that it may learn from, in `pairs.json`.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from kp_helpers.diffusion import Diffusion
from kp_helpers.editing.instructed import IMAGE_SCALE, TEXT_SCALE
from kp_helpers.editing.pairs import Pairs, rendered_pairs
from kp_helpers.editing.training import recipe, train_instructed
from kp_helpers.editing.ways import by_instruction, made, ways
from kp_helpers.figures.attributes import Reader
from kp_helpers.figures.edit_scores import FLOOR, OWN, Scores, score
from kp_helpers.figures.edits import TESTING, Edit, draw_edit, edits, images_of
from kp_helpers.figures.judge import Judge

EVALUATION, PAIRS = (Path(__file__).with_name(f"{name}.json") for name in ("evaluation", "pairs"))
IMAGE_SCALES, TEXT_SCALES = (1.0, 1.2, 1.5, 1.8, 2.2), (1.5, 2.5, 5.0, 7.5)
_FURTHER = 100_000
"""Other edits than those of the table have seeds that begin so much later."""


def scored(diffusion: Diffusion, chosen: Sequence[Edit], way, readers: Sequence[Reader] = ()) -> Scores:
    """Scores of the pictures that a way makes of edits; readers: theirs, where there are some already."""
    images = made(diffusion, chosen, way)
    return score(chosen, readers or [*map(Reader, chosen)], images, Judge("judge"))


def compared(diffusion: Diffusion, unet, count: int, few: int) -> dict[str, Scores]:
    """Scores by way, on `count` held-out edits, the slow ways on the first `few`; then `held_out`."""
    drawn = edits(count)
    readers = [*map(Reader, drawn)]
    found = {}
    for name, way in tqdm(ways(diffusion, unet).items(), unit="way"):
        part = count if name in (OWN, "copying", FLOOR) else few
        found[name] = scored(diffusion, drawn[:part], way, readers[:part])
    return found | held_out(diffusion, unet, drawn[:few])


def held_out(diffusion: Diffusion, unet, drawn: Sequence[Edit]) -> dict[str, Scores]:
    """Scores of the instructed model in a wording that is never trained on, and on as many edits whose colour
    and noun never stand together in training.
    """
    own = partial(by_instruction, diffusion, unet)
    return {
        "held-out wordings": scored(diffusion, drawn, partial(own, wording=-1)),
        "held-out combinations": scored(diffusion, coloured(len(drawn)), own),
    }


def coloured(count: int) -> list[Edit]:
    """Edits whose colour and noun never stand together in training: of the kinds that name both."""
    kinds = ("thing colour", "clothes colour", "add", "exchange")
    return [draw_edit(TESTING + _FURTHER + n, kinds[n % len(kinds)], combination=True) for n in range(count)]


def guidance_curve(diffusion: Diffusion, unet, chosen: Sequence[Edit]) -> list[dict[str, float]]:
    """The paper's curve: direction against likeness of the pictures, by a CLIP, for each pair of scales; and
    of the true pairs, which is where it would be best.
    """
    readers = [*map(Reader, chosen)]
    pairs = [(TEXT_SCALE, scale) for scale in IMAGE_SCALES]
    pairs += [(scale, IMAGE_SCALE) for scale in TEXT_SCALES if scale != TEXT_SCALE]
    rows = []
    for text_scale, image_scale in pairs:
        scales = {"text_scale": text_scale, "image_scale": image_scale}
        way = partial(by_instruction, diffusion, unet, **scales)
        rows.append(scales | _means(scored(diffusion, chosen, way, readers)))
    true = _means(scored(diffusion, chosen, partial(images_of, side=1), readers))
    return [*rows, {"text_scale": 0, "image_scale": 0, **true}]


def _means(scores: Scores) -> dict[str, float]:
    means = {name: float(np.mean(values)) for name, values in asdict(scores).items()}
    return means | {"both": scores.shares()["changed and others kept"][0]}


def evaluate(diffusion: Diffusion, unet, count: int = 200, few: int = 48) -> dict:
    """All of it as JSON values: `scores` by way, and the `guidance` curve."""
    scores = {name: asdict(one) for name, one in compared(diffusion, unet, count, few).items()}
    curve = guidance_curve(diffusion, unet, edits(few, first=TESTING + 2 * _FURTHER))
    return {"base": diffusion.fingerprint, "scores": scores, "guidance": curve}


def compare_pairs(diffusion: Diffusion, folder: Path, steps: int, count: int) -> dict:
    """Which pairs teach more, as JSON values: the yields of the filters in `folder`, and `scores` on `count`
    held-out edits of three models from one start, taught in as many steps by as many pairs each.
    """
    sets = {name: Pairs.load(folder / f"{name}.safetensors") for name in ("filtered", "unfiltered")}
    sets["rendered"] = rendered_pairs(diffusion, folder, len(sets["filtered"]))
    drawn = edits(count)
    readers = [*map(Reader, drawn)]
    settings, scores = replace(recipe(diffusion.device).settings, steps=steps), {}
    for name, pairs in sets.items():
        unet = train_instructed(diffusion, pairs, folder / f"{name}-{steps}", settings)
        way = partial(by_instruction, diffusion, unet)
        scores[name] = asdict(scored(diffusion, drawn, way, readers))
    yields = json.loads((folder / "filters.json").read_text())
    return {"base": diffusion.fingerprint, "steps": steps, "yields": yields, "scores": scores}


def load(path: Path = EVALUATION) -> tuple[dict[str, Scores], dict]:
    """Scores by way, and all that the file holds."""
    content = json.loads(path.read_text())
    return {name: Scores(**one) for name, one in content["scores"].items()}, content
