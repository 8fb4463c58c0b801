"""What of a sweep is missing, failed, outdated or done, from its result folders alone."""

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from kp_helpers.notebook.sweeps.plan import Job

STATES = ("done", "failed", "outdated", "missing")
"""Outdated: made with other settings than `sweeps.yaml` has now."""
_COLUMNS = ("sweep", "joint", "seed", "setting", "state", "minutes", "name", "value", "n", "reason")


def failure_file(job: Job, results: Path) -> Path:
    """Where a job that failed leaves its sentence, until it succeeds."""
    return results / job.folder.with_name(f"{job.name}.failed.txt")


def table(jobs: Iterable[Job], results: Path) -> pd.DataFrame:
    """A row for each number of each job, and one for a job that has none. reason: of its last failure."""
    rows = []
    for job in jobs:
        place = {"sweep": job.sweep, "joint": job.joint, "seed": job.seed, "setting": job.setting}
        state, metrics = _state(job, results)
        rows += [{**metric, **place, **state} for metric in metrics or [{}]]
    return pd.DataFrame(rows, columns=_COLUMNS, dtype=object)


def report(rows: pd.DataFrame) -> str:
    """A line of counts for each sweep, and one for each job that is not done."""
    lines = []
    for sweep, jobs in rows.drop_duplicates(list(_COLUMNS[:4])).groupby("sweep", sort=False):
        counts = ", ".join(f"{(jobs['state'] == state).sum()} {state}" for state in STATES)
        lines.append(f"{sweep}: {len(jobs)} jobs, {counts}")
        for job in jobs[jobs["state"] != "done"].itertuples():
            lines.append(f"  {job.state:8} {job.joint}-{job.seed}-{job.setting}  {job.reason}".rstrip())
    return "\n".join(lines)


def _state(job: Job, results: Path) -> tuple[dict, list[dict]]:
    """State, minutes and reason of a job, and its metrics. A killed one left nothing, so it is missing."""
    folder, failure = results / job.folder, failure_file(job, results)
    reason = failure.read_text(encoding="utf-8").strip() if failure.is_file() else ""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"state": "failed" if reason else "missing", "reason": reason}, []
    except (OSError, ValueError) as error:
        return {"state": "failed", "reason": f"{folder.name}: cannot be read ({error})"}, []
    state = "done" if config.get("settings") == job.saved_settings() else "outdated"
    minutes = config.get("minutes")
    return {"state": "failed" if reason else state, "reason": reason, "minutes": minutes}, metrics
