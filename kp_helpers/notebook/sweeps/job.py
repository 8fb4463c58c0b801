"""The work of a sweep's job: the model is loaded once, then all runs of the protocol follow."""

import shutil
import time
from pathlib import Path

from kp_helpers import evaluate
from kp_helpers.notebook.session import begin
from kp_helpers.notebook.sweeps.plan import FOLDER, Job
from kp_helpers.store import held


def run_job(job: Job, results: Path, cache: Path | None = None, checkpoint: Path | None = None) -> Path:
    """Learn and test every run of a job and write its result folder, which is returned; one that exists is
    replaced as the last act.

    cache: the folder in which read-out mode keeps what the U-Net says of a view, for the jobs of other
    settings too. checkpoint: a folder in which what is learned is kept on its way, until the result is there.
    Raises HeldError where another process does the same job; what one that was killed left of a result is
    removed.
    """
    place = results.absolute() / job.folder
    sweep, settings = job.about, job.settings
    with held(place.with_name(f".{job.name}.lock")):
        for leftover in place.parent.glob(f".{job.name}.*"):
            if leftover.is_dir():
                shutil.rmtree(leftover)
        started = time.monotonic()
        session = begin(
            job.sweep,
            run=job.name,
            results=place.parents[1],
            overwrite=True,
            model=sweep.model,
            data=sweep.data_folder,
            seed=job.seed,
            device=sweep.device,
            dtype=sweep.dtype,
            joints=[job.joint],
            base=sweep.base_file,
            cache=cache.absolute() if cache else "",
            checkpoint=checkpoint.absolute() / FOLDER if checkpoint else "",
        )
        predictions = []
        for run in range(settings.protocol.runs):
            predictions += evaluate.sweep(
                session.frozen,
                session.base,
                session.sets,
                job.joint,
                settings,
                [evaluate.Variant(job.setting)],
                run,
                cache=session.cache,
                checkpoint=session.states,
            )
        measured = evaluate.measured_variants(evaluate.score(predictions), settings, {})
        minutes = round((time.monotonic() - started) / 60, 3)
        return session.finish(job.saved_settings(), measured, predictions, facts={"minutes": minutes})
