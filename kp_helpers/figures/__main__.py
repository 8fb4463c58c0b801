"""The figures world from the command line: `python -m kp_helpers.figures --help`."""

import argparse
import json
import os
import sys
from pathlib import Path

from kp_helpers.config.command import run_command


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    return run_command(_parser(), arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kp_helpers.figures", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    export = commands.add_parser("export", help="write the world in 3DPW's layout")
    export.add_argument("folder", type=Path, metavar="DIR")
    export.add_argument("--sequences", type=_count, default=60, help="number of sequences (60)")
    export.add_argument("--frames", type=_count, default=30, help="frames of each sequence (30)")
    export.add_argument("--seed", type=int, default=0, help="another seed is another world (0)")
    export.add_argument("--workers", type=_count, default=os.cpu_count() or 1, help="processes (all cores)")
    export.set_defaults(run=_export)

    train = commands.add_parser("train", help="train the small model; goes on where it stopped")
    train.add_argument("--folder", type=Path, default=Path("build/train"), help="checkpoints (build/train)")
    train.add_argument("--stage", action="append", help="one stage alone, may be repeated (default: all)")
    train.add_argument("--steps", type=_count, help="steps of each stage instead of the recipe's")
    train.add_argument("--minutes", type=float, help="minutes of both U-Nets, instead of their steps")
    train.add_argument("--pictures", type=_count, help="training pictures instead of the recipe's")
    train.add_argument("--device", default=None, help="cpu or cuda (default: cuda where there is one)")
    train.add_argument("--target", type=Path, help="where the finished model goes (default: the shipped one)")
    train.set_defaults(run=_train)

    evaluate = commands.add_parser("evaluate", help="measure the model on held-out pictures")
    evaluate.add_argument("--model", default="figures", help="a model folder (default: the shipped one)")
    evaluate.add_argument("--pictures", type=_count, default=256, help="held-out pictures (256)")
    evaluate.add_argument("--samples", type=_count, default=64, help="generated pictures (64)")
    evaluate.add_argument("--json", type=Path, metavar="FILE", help="write all measures to FILE too")
    evaluate.add_argument("--set-level", action="store_true", help="make the best noise level the default")
    _add_taught(evaluate)
    evaluate.set_defaults(run=_evaluate)

    measure = commands.add_parser("measure", help="words, limbs and joints of any model folder, in minutes")
    measure.add_argument("model", metavar="FOLDER", help="a model folder, or figures for the shipped one")
    measure.add_argument("--pictures", type=_count, default=80, help="held-out pictures of the words (80)")
    measure.add_argument("--timestep", type=int, default=100, help="noise level of all of them (100)")
    measure.add_argument("--json", type=Path, metavar="FILE", help="write all measures to FILE too")
    _add_taught(measure)
    measure.set_defaults(run=_measure)
    return parser


def _add_taught(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--taught", action="store_true", help="add what five labels teach, which takes longer"
    )
    parser.add_argument(
        "--world",
        type=Path,
        default=Path("build/figures"),
        metavar="DIR",
        help="figures world for --taught, exported there if it is missing (build/figures)",
    )


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} found, at least 1 expected")
    return value


def _export(options) -> None:
    from kp_helpers.figures.export import export

    manifest = export(options.folder, options.sequences, options.frames, options.seed, options.workers)
    print(f"{options.folder}: {len(manifest['sequences'])} sequences, {len(manifest['sha256'])} files")


def _train(options) -> None:
    import torch

    from kp_helpers.figures.training.stages import PICTURES, RESTART, STAGES, Training

    unknown = set(options.stage or ()) - {*STAGES, RESTART}
    if unknown:
        raise ValueError(f"--stage {min(unknown)} is unknown, expected one of {', '.join(STAGES)}")
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    training = Training(options.folder, device, options.steps, options.pictures or PICTURES, options.minutes)
    for stage in options.stage or STAGES:
        target = {"target": options.target} if options.target and stage in ("assemble", "samples") else {}
        getattr(training, stage)(**target)


def _evaluate(options) -> None:
    from kp_helpers.figures.evaluate import evaluate
    from kp_helpers.figures.model import FIGURES, set_default_timestep

    world = options.world if options.taught else None
    measures = evaluate(options.model, options.pictures, options.samples, world)
    if options.set_level:
        set_default_timestep(
            measures["timestep"], FIGURES if options.model == "figures" else Path(options.model)
        )
    _show(measures, options.json)


def _measure(options) -> None:
    from kp_helpers.figures.evaluate import measure

    world = options.world if options.taught else None
    _show(measure(options.model, options.pictures, options.timestep, world), options.json)


def _show(measures: dict, path: Path | None) -> None:
    """Print the measures as tables, and write them to `path` where there is one."""
    from kp_helpers.figures.evaluate import tables
    from kp_helpers.store import replace_file

    for name, table in tables(measures).items():
        print(f"\n{name}\n{table.to_string(na_rep='')}")
    if path:
        text = json.dumps(measures, indent=1) + "\n"
        replace_file(path, lambda partial: partial.write_text(text))


if __name__ == "__main__":
    sys.exit(main())
