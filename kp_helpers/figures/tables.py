"""The measures of a figures model as tables to print."""

import pandas as pd

SINGLE = (
    *("psnr", "clip_top1_of_64", "clip_crop_class", "timestep", "pointing_mean", "pointing_noun_mean"),
    *("pointing_random_mean", "samples_top1_of_16"),
)
WORDS = ("pointing", "pointing_noun", "pointing_colour", "pointing_random")


def tables(measures: dict) -> dict[str, pd.DataFrame]:
    """The tables of what was measured, by `evaluate.evaluate` or `evaluate.measure`: the single numbers, the
    words, the limbs, the joints by number of labels, what labels teach, and the noise levels.
    """
    single = [name for name in SINGLE if name in measures]
    found = {
        "measures": pd.DataFrame({"value": [measures[name] for name in single]}, index=single).round(3),
        "words": pd.DataFrame({name: measures[name] for name in WORDS if name in measures}).round(3),
    }
    if measures.get("limbs"):
        found["limbs"] = pd.DataFrame.from_dict(measures["limbs"], orient="index").round(3)
    if "ridge" in measures:
        found["ridge"] = _ridge(measures)
    if "taught" in measures:
        found["taught"] = _with_intervals(measures["taught"], measures["taught_intervals"])
    if "pointing_levels" in measures:
        found["levels"] = pd.DataFrame(measures["pointing_levels"]).T.round(3)
    if "ridge_levels" in measures:
        found["ridge levels"] = pd.DataFrame({"ridge_mean": measures["ridge_levels"]}).T.round(3)
    return found


def _ridge(measures: dict) -> pd.DataFrame:
    """A row a joint: hits with their interval by number of labels, and the wrong sides of each."""
    hits = _with_intervals(measures["ridge"], measures["ridge_intervals"])
    hits.loc["mean"] = {size: f"{share:.2f}" for size, share in measures["ridge_mean"].items()}
    sides = pd.DataFrame.from_dict(measures["wrong_side"], orient="index").astype(float).round(2)
    return hits.join(sides.add_prefix("wrong side, "))


def _with_intervals(shares: dict[str, dict], intervals: dict[str, dict]) -> pd.DataFrame:
    """Rows and columns as in `shares`, each number with its interval."""
    texts = {
        row: {column: _text(share, intervals[row][column]) for column, share in own.items()}
        for row, own in shares.items()
    }
    return pd.DataFrame.from_dict(texts, orient="index")


def _text(share: float | None, interval: tuple[float, float] | None) -> str:
    return "" if share is None else f"{share:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]"
