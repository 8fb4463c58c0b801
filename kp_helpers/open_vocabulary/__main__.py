"""Open-vocabulary segmentation from the command line: `python -m kp_helpers.open_vocabulary --help`."""

import argparse
import sys
from pathlib import Path

from kp_helpers.config.command import run_command
from kp_helpers.open_vocabulary.classes import SPLITS

CHOICES = {
    "supervision": ("label", "caption"),
    "caption": ("implicit", "empty", "true"),
    "source": ("unet", "clip"),
}
COUNTS = {
    "level": (0, "noise level of the pass"),
    "pictures": (1600, "training pictures"),
    "steps": (400, "under the empty caption"),
    "captioned": (50, "then under its own caption"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    return run_command(_parser(), arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kp_helpers.open_vocabulary", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    train = commands.add_parser("train", help="train a head on a split; goes on where it stopped")
    train.add_argument("--model", default="figures", help="shipped model, folder or hub id (figures)")
    train.add_argument("--clip", default="", help="a CLIP, folder or hub id (the model's own)")
    train.add_argument("--data", default="figures", help="the world, or a COCO panoptic folder (figures)")
    train.add_argument("--split", type=int, choices=SPLITS, default=0, help="which classes stay unseen (0)")
    for name, choices in CHOICES.items():
        train.add_argument(f"--{name}", choices=choices, default=choices[0], help=f"({choices[0]})")
    for name, (default, text) in COUNTS.items():
        train.add_argument(f"--{name}", type=int, default=default, help=f"{text} ({default})")
    train.add_argument("--device", default="auto", help="of the U-Net: cpu or cuda (auto)")
    train.add_argument("--folder", type=Path, default=Path("build/open_vocabulary"), help="of checkpoints")
    train.add_argument("--target", type=Path, required=True, help="file of the trained head")
    train.set_defaults(run=_train)
    return parser


def _train(options) -> None:
    from kp_helpers import diffusion
    from kp_helpers.open_vocabulary.features import freeze
    from kp_helpers.open_vocabulary.training import Recipe, train_head

    frozen = freeze(diffusion.load(options.model, options.device), options.level, options.clip)
    names = (*CHOICES, "steps", "captioned")
    recipe = Recipe(**{name: getattr(options, name) for name in names})
    trained = train_head(frozen, options.data, options.split, recipe, options.pictures, options.folder)
    print(f"{trained.save(options.target)}: {', '.join(trained.seen)}")


if __name__ == "__main__":
    sys.exit(main())
