"""Command line: `python -m kp_helpers.notebook.sweeps plan|cache|job|summary`, for Make and Snakemake."""

import argparse
import sys
from pathlib import Path

from kp_helpers.config import ConfigError
from kp_helpers.notebook.sweeps import plan, summary
from kp_helpers.results.run_folder import write_file

_FAILURES = (ValueError, OSError, RuntimeError, MemoryError)
"""What the kit and torch raise, told in a sentence; a bug has its trace."""


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return options.do(plan.read(options.file), options)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2


def _plan(jobs: list[plan.Job], options: argparse.Namespace) -> int:
    print("\n".join(job.folder.as_posix() for job in plan.chosen(jobs, options.sweeps)))
    return 0


def _summary(jobs: list[plan.Job], options: argparse.Namespace) -> int:
    states = summary.summarise(plan.chosen(jobs, options.sweeps), options.results)
    print(summary.told(states))
    return 0 if all(state.state == "done" for state in states) else 1


def _cache(jobs: list[plan.Job], options: argparse.Namespace) -> int:
    from kp_helpers.notebook.sweeps.work import build_cache  # torch, which a summary need not wait for

    own = plan.find(jobs, options.sweep, options.joint, options.seed)
    try:
        count = build_cache(own, options.cache, options.made)
    except _FAILURES as error:
        print(f"{options.made}: {_sentence(error)}", file=sys.stderr)
        return 1
    print(f"{options.made}: {count} views")
    return 0


def _job(jobs: list[plan.Job], options: argparse.Namespace) -> int:
    from kp_helpers.notebook.sweeps.work import run_job

    job = plan.find(jobs, options.sweep, options.joint, options.seed, options.setting)[0]
    failed = summary.failure_file(job, options.results)
    try:
        path = run_job(job, options.results, options.cache, options.checkpoint)
    except _FAILURES as error:
        write_file(failed, f"{_sentence(error)}\n")
        print(f"{job.name}: {_sentence(error)}", file=sys.stderr)
        return 1
    failed.unlink(missing_ok=True)
    print(f"wrote {path}")
    return 0


def _sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".replace("\n", " ")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kp_helpers.notebook.sweeps", description=__doc__)
    parser.add_argument("--file", type=Path, default=Path("sweeps.yaml"), help="where the sweeps are listed")
    parser.add_argument("--results", type=Path, default=Path("results"), help="the results folder")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, do, text in (
        ("plan", _plan, "check the file and list its jobs"),
        ("summary", _summary, "what is missing, failed, outdated, done; and summary.csv"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("sweeps", nargs="*", metavar="SWEEP", help="all sweeps if none is named")
        command.set_defaults(do=do)
    for name, do, text in (
        ("cache", _cache, "build what read-out mode keeps, for all settings of a joint and seed"),
        ("job", _job, "learn and test one joint, seed and setting"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("sweep")
        command.add_argument("joint")
        command.add_argument("seed", type=int)
        command.add_argument("--cache", type=Path, help="folder of what read-out mode keeps")
        command.set_defaults(do=do)
    commands.choices["job"].add_argument("setting")
    kept = "folder in which what is learned is kept on its way, so that a killed job goes on"
    commands.choices["job"].add_argument("--checkpoint", type=Path, help=kept)
    commands.choices["cache"].add_argument("made", type=Path, help="a file that is written last")
    commands.choices["cache"].set_defaults(cache=Path("build/cache"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
