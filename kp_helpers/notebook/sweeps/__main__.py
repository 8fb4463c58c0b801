"""Command line: `python -m kp_helpers.notebook.sweeps job|summary`, for Make and Snakemake."""

import argparse
import sys
from pathlib import Path

from kp_helpers.config import ConfigError
from kp_helpers.notebook.sweeps import plan
from kp_helpers.notebook.sweeps.plan import failure_file, report, table
from kp_helpers.results.run_folder import write_file

_FAILURES = (ValueError, OSError, RuntimeError, MemoryError)
"""What the kit and torch raise, told in a sentence; a bug has its trace."""


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        jobs = plan.read(options.file)
        if options.command == "job":
            return _job(plan.find(jobs, options.sweep, options.name), options)
        return _summary(plan.chosen(jobs, options.sweep), options.results)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2


def _job(job: plan.Job, options: argparse.Namespace) -> int:
    from kp_helpers.notebook.sweeps.job import run_job  # models, for which the summary need not wait

    failure = failure_file(job, options.results)
    try:
        path = run_job(job, options.results, options.cache, options.checkpoint)
    except _FAILURES as error:
        sentence = f"{type(error).__name__}: {error}".replace("\n", " ")
        write_file(failure, f"{sentence}\n")
        print(f"{job.name}: {sentence}", file=sys.stderr)
        return 1
    failure.unlink(missing_ok=True)
    print(f"wrote {path}")
    return 0


def _summary(jobs: list[plan.Job], results: Path) -> int:
    """Print what is not done; `summary.csv` of each sweep has it with the numbers that were measured."""
    rows = table(jobs, results)
    for sweep, part in rows.groupby("sweep", sort=False):
        path = results / plan.FOLDER / sweep / "summary.csv"
        write_file(path, part.to_csv(index=False, lineterminator="\n"))
    print(report(rows))
    return 0 if (rows["state"] == "done").all() else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kp_helpers.notebook.sweeps", description=__doc__)
    parser.add_argument("--file", type=Path, default=Path("sweeps.yaml"), help="where the sweeps are listed")
    parser.add_argument("--results", type=Path, default=Path("results"), help="the results folder")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("summary", help="what is missing, failed, outdated, done; and summary.csv")
    command.add_argument("sweep", nargs="?", default="", metavar="SWEEP", help="all sweeps if none is named")
    command = commands.add_parser("job", help="learn and test one joint, seed and setting")
    command.add_argument("sweep")
    command.add_argument("name", help="<joint>-<seed>-<setting>")
    command.add_argument("--cache", type=Path, help="folder of what read-out mode keeps")
    states = "folder in which what is learned is kept on its way, so that a killed job goes on"
    command.add_argument("--checkpoint", type=Path, help=states)
    return parser


if __name__ == "__main__":
    sys.exit(main())
