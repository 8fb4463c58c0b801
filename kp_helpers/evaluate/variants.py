"""What is varied: named changes of the settings, and the designs of the protocol; and the tables and curves
of an ablation, every variant beside the default one on the same pictures.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import torch

from kp_helpers import reading
from kp_helpers.config import Change, ConfigError, Profile, Protocol, TestTime
from kp_helpers.data import KeypointSample
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import Appended
from kp_helpers.evaluate.controls import MEAN, mean_position
from kp_helpers.evaluate.measures import ALL
from kp_helpers.evaluate.protocol import Found, Framed, appended_name, draw_run, framed, learn, located
from kp_helpers.evaluate.scores import SHOWN, differences, listed, report, summarise, table
from kp_helpers.intervals import p_text
from kp_helpers.metrics import Metric
from kp_helpers.stages import ReadoutCache
from kp_helpers.store import digest


@dataclass(frozen=True)
class Variant:
    """A named change of the settings: the fields of each group that differ from the profile's.

    reading: of the readings in `appended` and `test` alike.
    """

    name: str
    appended: Mapping = field(default_factory=dict)
    test: Mapping = field(default_factory=dict)
    protocol: Mapping = field(default_factory=dict)
    reading: Mapping = field(default_factory=dict)

    def settings(self, profile: Profile) -> Profile:
        """The profile with the changes; a ConfigError for one that cannot be."""
        return Change(self.appended, self.test, self.protocol, self.reading).applied(profile)


def sweep(
    diffusion: Diffusion,
    base: torch.Tensor,
    sets: tuple[Sequence[KeypointSample], Sequence[KeypointSample]],
    joint: str,
    settings: Profile,
    variants: Sequence[Variant],
    run: int,
    *,
    cache: Path | None = None,
    checkpoint: Path | None = None,
) -> list[Found]:
    """One run of every variant, and the control "mean position" of the first variant's labels.

    base: (N, D). sets: training and test samples, of which all variants with the same numbers of images see
    the same, under the same noise and views. cache: a folder as for `stages.AppendedTokens`; without one what
    read-out mode keeps is shared by the variants of this run. checkpoint: the folder `root` of `stages.Run`.
    """
    changed = [variant.settings(settings) for variant in variants]
    shown = _shown(sets, diffusion.image_size, joint, run, [one.protocol for one in changed])
    kept = ReadoutCache.at(cache, diffusion.device)
    learned = [
        learn(diffusion, base, train, joint, one.appended, run, kept, checkpoint)
        for (train, _), one in zip(shown, changed, strict=True)
    ]
    tests = [test for _, test in shown]
    points = _read(diffusion, learned, tests, [one.test for one in changed])
    found = []
    for variant, test, of_test in zip(variants, tests, points, strict=True):
        found += located(test, of_test, joint, variant.name, run)
    return found + mean_position(*shown[0], joint, run)


def _read(
    diffusion: Diffusion, learned: Sequence[Appended], tests: Sequence[Framed], settings: Sequence[TestTime]
) -> list[torch.Tensor]:
    """The points (n, 2) of each embedding; those that look alike at the same pictures share the passes."""
    alike: dict[tuple, list[int]] = {}
    for number, (one, test, how) in enumerate(zip(learned, tests, settings, strict=True)):
        alone = number if one.mode == "coupled" else digest({"base": one.base.cpu()})
        alike.setdefault((how, _seen(test), alone), []).append(number)
    points: dict[int, torch.Tensor] = {}
    for (how, *_), numbers in alike.items():
        several, test = [learned[n] for n in numbers], tests[numbers[0]]
        found = reading.read_points(diffusion, several, test.images, how, test.inside)
        points |= zip(numbers, found.unbind(dim=1), strict=True)
    return [points[number] for number in range(len(learned))]


def _seen(pictures: Framed) -> tuple:
    return tuple(
        (sample.name, square) for sample, square in zip(pictures.samples, pictures.squares, strict=True)
    )


def _shown(
    sets: tuple[Sequence[KeypointSample], Sequence[KeypointSample]],
    size: int,
    joint: str,
    run: int,
    protocols: Sequence[Protocol],
) -> list[tuple[Framed, Framed]]:
    """Training and test pictures of a run for each protocol; none is read and framed twice."""
    kept: dict[tuple[Protocol, str], Framed] = {}
    pairs = {}
    for protocol in dict.fromkeys(protocols):
        framing = protocol.replace(train_images=1)
        parts = []
        for samples in draw_run(*sets, joint, run, protocol):
            for sample in samples:
                if (framing, sample.name) not in kept:
                    kept[framing, sample.name] = framed([sample], size, protocol)
            parts.append(_joined([kept[framing, sample.name] for sample in samples]))
        pairs[protocol] = tuple(parts)
    return [pairs[protocol] for protocol in protocols]


def _joined(parts: Sequence[Framed]) -> Framed:
    samples, squares = (tuple(getattr(part, name)[0] for part in parts) for name in ("samples", "squares"))
    inside = None if parts[0].inside is None else torch.cat([part.inside for part in parts])
    return Framed(samples, squares, torch.cat([part.images for part in parts]), inside)


GOAL = "within_square"
"""Column of `score` that ideas are chosen by."""


def over_joints(scores: pd.DataFrame, name: str = "all joints") -> pd.DataFrame:
    """The rows of all joints as those of one, so that `report` and `differences` give the mean over joints.

    A joint counts by its predictions: the mean of the joints' means where all have as many. Intervals draw a
    run's pictures of one sequence together, whichever joints they are of.
    """
    return scores.assign(joint=name)


_DESIGN = re.compile(r"([1-9]\d*)x([1-9]\d*)(?::(\w+(?:\+\w+)*))?")


@dataclass(frozen=True)
class Design:
    """So many runs with so many labelled images, of these joints.

    suffix: what the names of methods end in, empty for the first design, so that its rows are the protocol's.
    """

    protocol: Protocol
    joints: tuple[str, ...]
    suffix: str = ""

    def named(self, method: str) -> str:
        """The method's name in the results of this design."""
        return method + self.suffix

    def renamed(self, results: Iterable[Found | Metric]) -> list[Found | Metric]:
        """The same predictions or numbers under the names of this design."""
        return [replace(one, method=self.named(one.method)) for one in results]


def designs(text: str, protocol: Protocol, joints: Sequence[str]) -> list[Design]:
    """The designs that a text such as "5x8,20x10" names: 8 runs with 5 labelled images, then 10 with 20.

    "20x4:left_foot+head" is for these joints only, which must be among `joints`; all other settings are the
    protocol's. A run sees the same test images in all designs where no sequence is in both sets, and fewer
    labelled images are the beginning of more. ConfigError for a text that is none, a number of images that is
    there twice, or an unknown joint.
    """
    found: list[Design] = []
    for part in (part.strip() for part in text.split(",")):
        match = _DESIGN.fullmatch(part)
        if not match:
            raise ConfigError(f"designs: {part!r} is no design, expected images x runs, such as '5x8'")
        images, runs = int(match[1]), int(match[2])
        own = tuple(match[3].split("+")) if match[3] else tuple(joints)
        for joint in own:
            if joint not in joints:
                raise ConfigError(f"designs: {part!r} names {joint!r}, expected one of {', '.join(joints)}")
        if images in [one.protocol.train_images for one in found]:
            raise ConfigError(f"designs: {part!r} has {images} images like one before, expected them once")
        suffix = f", training images {images}" if found else ""
        found.append(Design(protocol.replace(train_images=images, runs=runs), own, suffix))
    return found


def against(scores: pd.DataFrame, default: str) -> pd.DataFrame:
    """Every variant minus the default one on the same pictures of the same runs: `differences`, by variant.

    The control "mean position" is among them. No p is corrected for how many there are.
    """
    others = [name for name in scores["method"].unique() if name != default]
    rows = [differences(scores, name, [default]).assign(variant=name) for name in others]
    return pd.concat(rows)[["variant", *rows[0].columns[:-1]]] if rows else pd.DataFrame()


def variants_table(scores: pd.DataFrame, default: str) -> pd.DataFrame:
    """The sweep as a person reads it, a row a variant: its numbers as in `table`, and its area under the PCK
    curve minus the default's in percent points, with interval and p.
    """
    measures = {**SHOWN, "error": ALL["error"]}
    rows = table(report(scores, measures)).droplevel("joint").T.rename_axis("variant")
    compared = against(scores, default)
    areas = compared[compared["measure"] == ALL["auc"].name] if len(compared) else compared
    texts = {row.variant: _difference(row) for row in areas.itertuples()}
    rows[f"minus {default}"] = [texts.get(name, "") for name in rows.index]
    return rows


def measured_variants(scores: pd.DataFrame, settings: Profile, quoted: Mapping[str, int]) -> list[Metric]:
    """What `results` keeps of a sweep: the protocol's numbers of each variant, named with the mode.

    quoted: the variants that the paper's numbers stand beside, with their numbers of training images.
    """
    measured = []
    for method, rows in scores.groupby("method", sort=False):
        name = method if method == MEAN else f"{appended_name(settings.appended)}, {method}"
        measured += summarise(rows.assign(method=name), quoted.get(method))
    return measured


def over(scores: pd.DataFrame, places: Mapping[str, tuple[str, float]], setting: str) -> pd.DataFrame:
    """`SHOWN` over a setting, as `display.curves` takes it; places: variant -> (its line, the setting)."""
    rows = listed(report(scores[scores["method"].isin(places)], SHOWN))
    lines, values = zip(*(places[method] for method in rows["method"]), strict=True)
    rows = rows.assign(panel=rows["measure"], line=lines, **{setting: values})
    columns = ["method", "panel", "line", setting, "value", "low", "high", "n"]
    return rows.sort_values(setting, kind="stable")[columns]


def _difference(row) -> str:
    return f"{row.difference:+.1f} [{row.low:.0f}, {row.high:.0f}], {p_text(row.p)}"
