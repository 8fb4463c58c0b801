"""The work of a sweep's job: the model is loaded once, then all runs of the protocol follow."""

import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from kp_helpers import diffusion, evaluate, randomness
from kp_helpers.diffusion import Diffusion
from kp_helpers.notebook.sweeps.plan import FOLDER, Job
from kp_helpers.results import Metric, Prediction, RunFolder, project_path, run_facts
from kp_helpers.results.run_folder import write_json
from kp_helpers.stages import AppendedTokens, clear
from kp_helpers.store import held


def run_job(job: Job, results: Path, cache: Path | None = None, checkpoint: Path | None = None) -> Path:
    """Learn and test every run of a job and write its result folder, which is returned; one that exists is
    replaced as the last act.

    cache: the folder in which read-out mode keeps what the U-Net says of a view. checkpoint: a folder in
    which what is learned is kept on its way, until the result is there. Raises HeldError where another
    process does the same job; what one that was killed left of a result is removed.
    """
    place, kept = results / job.folder, checkpoint / job.folder if checkpoint else None
    with held(place.with_name(f".{job.name}.lock")):
        for left in place.parent.glob(f".{job.name}.*"):
            if left.is_dir():
                shutil.rmtree(left)
        path = _run(job, results, cache, kept)
        clear(kept)
    return path


def build_cache(jobs: Sequence[Job], cache: Path, made: Path) -> int:
    """Let the U-Net see every view that these jobs, of one joint and seed, will learn from; returns how many.

    made: a JSON file that is written last, with the number of views and the seconds it took.
    """
    started, count = time.monotonic(), 0
    different = {_what_is_seen(job): job for job in jobs if job.keeps_views}
    if different:
        given = _loaded(jobs[0])
    for job in different.values():
        for run in range(job.settings.protocol.runs):
            count += _see(given, job, run, cache)
    write_json(made, {"views": count, "seconds": round(time.monotonic() - started, 1)})
    return count


def _run(job: Job, results: Path, cache: Path | None, kept: Path | None) -> Path:
    started = time.monotonic()
    given, found = _loaded(job), []
    for run in range(job.settings.protocol.runs):
        own = (given.model, given.base, given.sets, job.joint, job.settings)
        variants = [evaluate.Variant(job.setting)]
        found += evaluate.sweep(*own, variants, run, cache=cache, checkpoint=kept)
    measured = evaluate.measured_variants(evaluate.score(found), job.settings, {})
    facts = given.facts(job)
    with RunFolder(results / FOLDER, job.sweep, job.name, overwrite=True) as saved:
        saved.predictions(Prediction(**one.prediction()) for one in found)
        saved.metrics(Metric(**one.metric()) for one in measured)
        minutes = round((time.monotonic() - started) / 60, 3)
        saved.config(job.saved_settings(), minutes=minutes, **facts)
    return saved.path


@dataclass(frozen=True)
class _Loaded:
    model: Diffusion
    base: torch.Tensor
    sets: tuple[Sequence, Sequence]
    data: Path

    def facts(self, job: Job) -> dict:
        names = {"model": job.about.model, "fingerprint": self.model.fingerprint, "data": self.data}
        return run_facts(seed=job.seed, device=str(self.model.device), **names)


def _loaded(job: Job) -> _Loaded:
    """What a job works with; whatever is missing is an error that names the command that makes it."""
    data, own = project_path(job.about.data_folder), project_path(job.about.model)
    sets = tuple(evaluate.data_set(data, split, [job.joint]) for split in ("train", "test"))
    model = diffusion.load(own if own.is_dir() else job.about.model, job.about.device)
    return _Loaded(model, evaluate.load_base(project_path(job.about.base_file), model), sets, data)


def _what_is_seen(job: Job) -> tuple:
    """Jobs of one joint and seed that agree in this learn from the same views."""
    names = ("augmentation", "reading", "pool", "steps", "images_per_step", "seed")
    return (job.settings.protocol, *(getattr(job.settings.appended, name) for name in names))


def _see(given: _Loaded, job: Job, run: int, cache: Path) -> int:
    own = evaluate.of_run(job.settings.appended, run)
    train, _ = evaluate.draw_run(*given.sets, job.joint, run, job.settings.protocol)
    framed = evaluate.framed(train, given.model.image_size, job.settings.protocol)
    points = framed.points(job.joint)
    stage = AppendedTokens(given.model, given.base, framed.images, points, own, cache=cache)
    views = list(_views(stage))
    for image, view in views:
        stage.maps.kept(image, view)
    return len(views)


def _views(stage: AppendedTokens) -> Iterable[tuple[int, int]]:
    """The images and views that the steps of a run see, each once."""
    settings, seen = stage.settings, {}
    count = settings.images_per_step
    for step in range(settings.steps):
        for image in randomness.image_order(settings.seed, len(stage.views), step * count, count):
            seen[image, stage.views.view(step)] = None
    return seen
