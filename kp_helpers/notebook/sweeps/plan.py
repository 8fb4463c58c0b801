"""The jobs of sweeps, from a YAML file, and what of them is missing, failed or done."""

import difflib
import json
import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import yaml
from pydantic import Field, field_validator

from kp_helpers.config import ConfigError, Levels, Names, Profile, Settings, profile
from kp_helpers.metrics import SECTOR

WORLDS = {
    "smoke": ("build/figures-smoke", 15, 6),
    "quick": ("build/figures", 60, 30),
    "paper": ("build/figures-paper", 160, 10),
    "reference": ("build/figures-reference", 160, 10),
}
"""Profile -> (folder, sequences, frames a sequence) of the exported figures world."""
FOLDER = "sweeps"
"""The folder of the results folder in which each sweep has its own."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class Sweep(Settings):
    """A sweep as `sweeps.yaml` has it. Relative paths start at the checkout."""

    profile: str = Field("quick", description="the settings that all others are changes of")
    model: str = Field("figures", description="the shipped model, a model folder or a hub id")
    device: str = Field("cpu", description="where the model runs, as torch names it")
    dtype: Literal["float32", "bfloat16", "float16"] = Field("float32", description="of its weights")
    data: str = Field("", description="a folder in 3DPW's layout; empty means the profile's figures world")
    base: str = Field("", description="file of the base embedding; empty means notebook 02's of the profile")
    joints: Names = Field(description="joints with a meaningful direction")
    seeds: Levels = Field((0,), description="of everything that is drawn")
    common: dict[str, dict] = Field({}, description="changes of the profile in all settings, by group")
    settings: dict[str, dict[str, dict]] = Field(description="name -> changes of the profile, by group")

    @field_validator("joints", "seeds", "settings")
    @classmethod
    def _each_once(cls, values):
        if not values or len(set(values)) < len(values):
            raise ValueError("expected at least one, and each once")
        return values

    @field_validator("joints")
    @classmethod
    def _known(cls, joints: Names) -> Names:
        for joint in joints:
            if joint not in SECTOR:
                raise ValueError(f"joint {joint!r} is unknown; the nearest is {_nearest(joint, SECTOR)!r}")
        return joints

    @property
    def data_folder(self) -> str:
        return self.data or WORLDS[self.profile][0]

    @property
    def base_file(self) -> str:
        return self.base or f"results/02_stable_keypoints/{self.profile}/embedding.safetensors"


@dataclass(frozen=True)
class Job:
    """One joint, seed and setting of a sweep: a process that loads the model once and does all runs."""

    sweep: str
    joint: str
    seed: int
    setting: str
    about: Sweep
    settings: Profile

    @property
    def name(self) -> str:
        """Of its result's folder."""
        return f"{self.joint}-{self.seed}-{self.setting}"

    @property
    def folder(self) -> Path:
        """Its result, relative to the results folder."""
        return Path(FOLDER, self.sweep, self.name)

    def saved_settings(self) -> dict:
        """What its `config.json` holds as settings."""
        place = {"sweep": self.sweep, "joint": self.joint, "setting": self.setting}
        return {**self.settings.model_dump(mode="json"), **place}


def read(path: str | Path) -> list[Job]:
    """All jobs of a file, in its order; a ConfigError whose sentence names file, sweep and key."""
    path = Path(path)
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _OnceLoader)
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or not content:
        raise ConfigError(f"{path}: expected sweeps by name, found {content!r}")
    jobs = []
    for name, fields in content.items():
        try:
            jobs += _jobs(name, fields)
        except ConfigError as error:
            raise ConfigError(f"{path.name}, sweep {name!r}: {error}") from None
    return jobs


def chosen(jobs: list[Job], sweep: str = "") -> list[Job]:
    """The jobs of a sweep, of all where none is named; a ConfigError names the nearest sweep."""
    sweeps = dict.fromkeys(job.sweep for job in jobs)
    if sweep and sweep not in sweeps:
        raise ConfigError(f"sweep {sweep!r} is unknown; the nearest is {_nearest(sweep, sweeps)!r}")
    return [job for job in jobs if sweep in ("", job.sweep)]


def find(jobs: list[Job], sweep: str, name: str) -> Job:
    """The job of a sweep by its name."""
    for job in chosen(jobs, sweep):
        if job.name == name:
            return job
    raise ConfigError(f"sweep {sweep!r} has no job {name!r}, expected one that it lists")


def _jobs(name: str, fields) -> list[Job]:
    _check_name(name)
    if not isinstance(fields, dict):
        raise ConfigError(f"found {fields!r}, expected its settings")
    about = Sweep(**fields)
    return [
        Job(name, joint, seed, setting, about, _settings(about, setting, seed))
        for joint in about.joints
        for seed in about.seeds
        for setting in about.settings
    ]


def _settings(about: Sweep, setting: str, seed: int) -> Profile:
    """The profile of one setting, whose changes go over the common ones."""
    try:
        _check_name(setting)
        common = _changed(profile(about.profile, seed=seed), about.common)
        return _changed(common, about.settings[setting])
    except ConfigError as error:
        raise ConfigError(f"setting {setting!r}: {error}") from None


def _changed(settings: Settings, changes: Mapping) -> Settings:
    """Settings with some changed; a group within them keeps what its own mapping leaves out."""
    for key, value in changes.items():
        before = getattr(settings, key, None)
        inside = isinstance(before, Settings) and isinstance(value, dict)
        settings = settings.replace(**{key: _changed(before, value) if inside else value})
    return settings


def _check_name(name) -> None:
    """Names become folders; without a dot, so that no hidden folder of one job looks like another's."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(f"its name is {name!r}, expected letters, digits, '_' and '-'")


def _nearest(name: str, names: Iterable[str]) -> str:
    return difflib.get_close_matches(str(name), names, n=1, cutoff=0.0)[0]


class _OnceLoader(yaml.SafeLoader):
    """YAML without objects, in which a key that comes twice is an error and not the last one's."""

    def construct_mapping(self, node, deep=False):
        keys: set[Hashable] = set()
        for place, _ in node.value:
            key = self.construct_object(place, deep=True)
            if key in keys:
                raise yaml.MarkedYAMLError(problem=f"key {key!r} comes twice", problem_mark=place.start_mark)
            keys.add(key)
        return super().construct_mapping(node, deep)


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
