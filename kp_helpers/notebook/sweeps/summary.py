"""What of a sweep is missing, failed, outdated or done, told from its result folders alone."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kp_helpers.notebook.sweeps.plan import FOLDER, Job
from kp_helpers.results.run_folder import write_file

STATES = ("done", "failed", "outdated", "missing")
"""Outdated: made with other settings than `sweeps.yaml` has now."""
_COLUMNS = ("joint", "seed", "setting", "state", "minutes", "name", "value", "n", "reason")


@dataclass(frozen=True)
class State:
    """Where a job stands. reason: the sentence of its last failure; metrics: of a result that is there."""

    job: Job
    state: str
    reason: str = ""
    minutes: float | None = None
    metrics: tuple[dict, ...] = ()


def failure_file(job: Job, results: Path) -> Path:
    """Where a job that failed leaves its sentence, until it succeeds."""
    return results / job.folder.with_name(f"{job.name}.failed.txt")


def state_of(job: Job, results: Path) -> State:
    """The state of one job. A killed one left nothing, so it is missing."""
    folder, failed = results / job.folder, failure_file(job, results)
    reason = failed.read_text(encoding="utf-8").strip() if failed.is_file() else ""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        metrics = tuple(json.loads((folder / "metrics.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return State(job, "failed" if reason else "missing", reason)
    except (OSError, ValueError) as error:
        return State(job, "failed", f"{folder.name}: cannot be read ({error})")
    state = "done" if config.get("settings") == job.saved_settings() else "outdated"
    return State(job, "failed" if reason else state, reason, config.get("minutes"), metrics)


def summarise(jobs: Iterable[Job], results: Path) -> list[State]:
    """The state of every job; `summary.csv` of each sweep has them with the numbers that were measured."""
    states = [state_of(job, results) for job in jobs]
    for sweep in dict.fromkeys(state.job.sweep for state in states):
        own = [state for state in states if state.job.sweep == sweep]
        write_file(results / FOLDER / sweep / "summary.csv", _table(own))
    return states


def told(states: Iterable[State]) -> str:
    """A line of counts for each sweep, and one for each job that is not done."""
    states, lines = list(states), []
    for sweep in dict.fromkeys(state.job.sweep for state in states):
        own = [state for state in states if state.job.sweep == sweep]
        counts = Counter(state.state for state in own)
        lines.append(f"{sweep}: {len(own)} jobs, " + ", ".join(f"{counts[s]} {s}" for s in STATES))
        lines += [f"  {s.state:8} {s.job.name}  {s.reason}".rstrip() for s in own if s.state != "done"]
    return "\n".join(lines)


def _table(states: Iterable[State]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for one in states:
        job = {"joint": one.job.joint, "seed": one.job.seed, "setting": one.job.setting}
        about = {**job, "state": one.state, "reason": one.reason, "minutes": one.minutes}
        for metric in one.metrics or ({},):
            writer.writerow({**metric, **about})
    return text.getvalue()
