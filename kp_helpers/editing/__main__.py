"""Editing from the command line: `python -m kp_helpers.editing --help`."""

import argparse
import json
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from kp_helpers.config.command import run_command
from kp_helpers.store import replace_file

SETS = ("rendered", "filtered", "unfiltered")
"""Pairs to train on: the renderer's, or the model's with and without filters."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    return run_command(_parser(), arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kp_helpers.editing", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    train = commands.add_parser("train", help="train the instructed model; goes on where it stopped")
    train.add_argument("--on", choices=SETS, default=SETS[0], help=f"whose pairs ({SETS[0]})")
    train.add_argument("--pairs", type=int, default=6000, help="pairs that the renderer draws (6000)")
    train.add_argument("--steps", type=int, help="optimiser steps instead of the recipe's")
    train.add_argument("--start", type=Path, metavar="FILE", help="a trained model to go on from")
    train.add_argument("--minutes", type=float, help="let the clock end the training instead of steps")
    train.add_argument("--target", type=Path, metavar="FILE", help="where the model goes (in the folder)")
    train.set_defaults(run=_train)
    pairs = commands.add_parser("pairs", help="pairs of the model by Prompt-to-Prompt, and CLIP's filters")
    pairs.add_argument("--triplets", type=int, default=100, help="captions, edited captions (100)")
    pairs.add_argument("--each", type=int, default=20, help="pairs of each triplet (20)")
    pairs.set_defaults(run=_pairs)
    compare = commands.add_parser("compare", help="train on each of the three alike, and measure: pairs.json")
    compare.add_argument("--steps", type=int, default=1200, help="optimiser steps of each (1200)")
    compare.add_argument("--edits", type=int, default=100, help="held-out edits (100)")
    compare.set_defaults(run=_compare)
    measure = commands.add_parser("measure", help="the whole table of evaluation.json")
    measure.add_argument("--model", type=Path, metavar="FILE", help="a trained model (the shipped one)")
    measure.add_argument("--edits", type=int, default=200, help="held-out edits (200)")
    measure.add_argument("--few", type=int, default=48, help="edits for the slow comparisons (48)")
    measure.add_argument("--json", type=Path, metavar="FILE", help="where it goes (in the folder)")
    measure.set_defaults(run=_measure)
    for command in (train, pairs, compare, measure):
        command.add_argument("--folder", type=Path, default=Path("build/editing"), help="(build/editing)")
        command.add_argument("--device", default="auto", help="cpu or cuda (auto)")
    return parser


def _train(options) -> None:
    from kp_helpers import diffusion
    from kp_helpers.editing import instructed
    from kp_helpers.editing.pairs import Pairs, growing_pairs, rendered_pairs
    from kp_helpers.editing.training import recipe, train_instructed

    base = diffusion.load("figures", options.device)
    settings = recipe(base.device).settings
    settings = replace(settings, steps=options.steps or settings.steps, minutes=options.minutes)
    start = options.start and instructed.load(base, options.start)
    if options.on != SETS[0]:
        shown = nullcontext(Pairs.load(options.folder / f"{options.on}.safetensors"))
    elif base.device.type == "cuda":
        shown = growing_pairs(base, options.pairs)
    else:
        shown = nullcontext(rendered_pairs(base, options.folder, options.pairs))
    with shown as pairs:
        unet = train_instructed(base, pairs, options.folder / options.on, settings, start)
    target = options.target or options.folder / options.on / "instructed.safetensors"
    print(instructed.save(target, base, unet, {"pairs": options.on, "count": len(pairs)}))


def _pairs(options) -> None:
    from kp_helpers import diffusion
    from kp_helpers.editing.filters import filtered_pairs

    base = diffusion.load("figures", options.device)
    yields = filtered_pairs(base, options.folder, options.triplets, options.each)
    print(json.dumps(yields, indent=1))


def _compare(options) -> None:
    from kp_helpers import diffusion
    from kp_helpers.editing.evaluate import PAIRS, compare_pairs

    base = diffusion.load("figures", options.device)
    compared = compare_pairs(base, options.folder, options.steps, options.edits)
    print(_written(options.folder / PAIRS.name, compared))


def _measure(options) -> None:
    from kp_helpers import diffusion
    from kp_helpers.editing import instructed
    from kp_helpers.editing.evaluate import evaluate

    base = diffusion.load("figures", options.device)
    unet = instructed.load(base, options.model or instructed.SHIPPED)
    measured = evaluate(base, unet, options.edits, options.few)
    print(_written(options.json or options.folder / "evaluation.json", measured))


def _written(path: Path, values: dict) -> Path:
    text = json.dumps(values) + "\n"
    return replace_file(path, lambda partial: partial.write_text(text))


if __name__ == "__main__":
    sys.exit(main())
