"""A results folder with runs of the protocol and of an ablation, whose numbers are made up and known."""

import csv
import gzip
from pathlib import Path

import pandas as pd

from kp_helpers.results import Metric, RunFolder

PROTOCOL, WEIGHTS, TARGET = "08_evaluate_3dpw", "07_ablation_loss_weights_and_steps", "04_ablation_target"
MACHINE = {"cores": 2, "processor": "Some Processor", "gpu": ""}


def verdict(claim: str, word: str, difference=None, low=None, high=None, p=None, **more) -> dict:
    """A row of `verdicts.csv` as `evaluate.judged` makes it; more: any of its columns."""
    asked = {"joint": "left_foot", "method": "a", "side": "better than", "against": "b", "measure": "hits"}
    numbers = {"difference": difference, "low": low, "high": high, "p": p, "runs": 8, "n": 80, "needed": None}
    return {"id": claim, "verdict": word, **asked, **numbers, "why": "", "list": "kit", **more}


def hit(
    name: str, value: float, *, n: int = 80, interval=(10.0, 50.0), train_images: int | None = 5, **paper
) -> Metric:
    """A row of `metrics.json` as the protocol saves it, by a name such as "left_foot, base token: hits"."""
    about, _, measure = name.partition(": ")
    joint, _, method = about.partition(", ")
    facts = {"joint": joint, "method": method, "measure": measure, "train_images": train_images}
    return Metric(name=name, value=value, n=n, unit="%", sd=12.0, interval=interval, **facts, **paper)


def save(
    root: Path,
    notebook: str,
    run: str,
    *,
    metrics=(),
    verdicts=(),
    differences=None,
    figures=(),
    kind: str = "figures",
    mode: str = "readout",
    train_images: int = 5,
    newer: dict | None = None,
    **facts,
) -> Path:
    """Write one run; facts go into its `config.json`, newer into the settings of its appended stage."""
    protocol = {"runs": 8, "test_images": 10, "train_images": train_images}
    with RunFolder(root, notebook, run) as folder:
        model = {"name": "figures" if kind == "figures" else "sd15", "sha256": "0"}
        settings = {"protocol": protocol, "appended": {"mode": mode, **(newer or {})}}
        folder.config(settings, data={"name": "d", "kind": kind, "sha256": "0"}, model=model, **facts)
        folder.metrics(metrics)
        if verdicts:
            folder.table("verdicts", pd.DataFrame(verdicts))
        if differences is not None:
            folder.table("differences", pd.DataFrame(differences))
        for name in figures:
            folder.file(f"figures/{name}.png").write_bytes(b"\x89PNG")
    return folder.path


def predictions(run: Path) -> list[dict[str, str]]:
    """The rows of a run's `predictions.csv.gz`."""
    with gzip.open(run / "predictions.csv.gz", "rt") as rows:
        return list(csv.DictReader(rows))
