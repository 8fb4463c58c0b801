"""Open-vocabulary segmentation from the command line: `python -m kp_helpers.open_vocabulary --help`."""

import argparse
import shutil
import sys
from pathlib import Path

from kp_helpers.open_vocabulary.classes import SPLITS

CAPTIONS, SUPERVISIONS, SOURCES = ("implicit", "empty", "true"), ("label", "caption"), ("unet", "clip")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (OSError, ValueError, FloatingPointError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kp_helpers.open_vocabulary", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    train = commands.add_parser("train", help="train a head on a split; goes on where it stopped")
    train.add_argument("--model", default="figures", help="shipped model, folder or hub id (figures)")
    train.add_argument("--data", default="figures", help="the world, or a COCO panoptic folder (figures)")
    train.add_argument("--split", type=int, choices=SPLITS, default=0, help="which classes stay unseen (0)")
    train.add_argument("--supervision", choices=SUPERVISIONS, default="label", help="(label)")
    train.add_argument("--caption", choices=CAPTIONS, default="implicit", help="of the pass (implicit)")
    train.add_argument("--source", choices=SOURCES, default="unet", help="of the maps (unet)")
    train.add_argument("--level", type=int, default=0, help="noise level of the pass (0)")
    train.add_argument("--pictures", type=int, default=1600, help="training pictures (1600)")
    train.add_argument("--steps", type=int, default=400, help="under the empty caption (400)")
    train.add_argument("--captioned", type=int, default=100, help="then under its own caption (100)")
    train.add_argument("--folder", type=Path, default=Path("build/open_vocabulary"), help="of checkpoints")
    train.add_argument("--target", type=Path, help="copy the trained head to this file")
    train.set_defaults(run=_train)
    return parser


def _train(options) -> None:
    from kp_helpers import diffusion
    from kp_helpers.open_vocabulary.classes import hidden, seen
    from kp_helpers.open_vocabulary.data_sets import pictures
    from kp_helpers.open_vocabulary.features import freeze
    from kp_helpers.open_vocabulary.training import FINISHED, Recipe, train_head

    frozen = freeze(diffusion.load(options.model, "cpu"), options.level)
    size = frozen.model.image_size
    classes = pictures(options.data, "test", 1, size).classes
    shown = pictures(options.data, "train", options.pictures, size, hidden(classes, options.split))
    names = ("supervision", "caption", "source", "steps", "captioned")
    recipe = Recipe(**{name: getattr(options, name) for name in names})
    key = f"{recipe.supervision}-{recipe.caption}-{recipe.source}-{options.level}-{options.split}"
    train_head(frozen, shown, seen(classes, options.split), recipe, options.folder / key)
    if options.target:
        shutil.copy(options.folder / key / FINISHED, options.target)
    print(
        f"{options.target or options.folder / key / FINISHED}: split {options.split}, {options.supervision}"
    )


if __name__ == "__main__":
    sys.exit(main())
