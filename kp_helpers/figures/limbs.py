"""Do the words "left arm", "right arm", "left leg", "right leg" find their limb, and on the right side?"""

import torch

from kp_helpers import metrics
from kp_helpers.figures.captions import Caption
from kp_helpers.figures.pointing import named
from kp_helpers.figures.render import Picture
from kp_helpers.figures.scene import LIMBS


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
