"""Data sets from the command line: `python -m kp_helpers.data --help`."""

import argparse
import sys
import time
from pathlib import Path

from kp_helpers.data import manifest
from kp_helpers.data.archive import unpack
from kp_helpers.data.errors import DataError
from kp_helpers.data.threedpw import SPLITS, ThreeDPW


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (DataError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kp_helpers.data", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(run, about: str, *arguments: str) -> argparse.ArgumentParser:
        own = commands.add_parser(run.__name__.removeprefix("_"), help=about)
        own.set_defaults(run=run)
        for name in (*arguments, "DIR"):
            own.add_argument(name, type=Path)
        return own

    command(_manifest, "write DIR/manifest.json with the SHA-256 of every file")
    command(_verify, "list missing, changed and extra files; status 1 if any")
    command(_unpack, "unpack a zip or tar, whole and inside DIR or not at all", "ARCHIVE")
    index = command(_index, "index a folder of 3DPW: what is read and what is left out")
    index.add_argument("--skip-damaged", action="store_true", help="leave out frames with a damaged image")
    index.add_argument("--skip-missing", action="store_true", help="leave out frames without their image")
    index.add_argument("--scaled", action="store_true", help="scale the joints to pictures of another size")
    return parser


def _manifest(options) -> int:
    written = manifest.write(options.DIR)
    print(f"{options.DIR / manifest.NAME}: {len(written['sha256'])} files")
    return 0


def _verify(options) -> int:
    differences = manifest.verify(options.DIR)
    for line in differences:
        print(line)
    print(f"{options.DIR}: {'differs from its manifest' if differences else 'as its manifest says'}")
    return 1 if differences else 0


def _unpack(options) -> int:
    print(f"{options.DIR}: {len(unpack(options.ARCHIVE, options.DIR))} files")
    return 0


def _index(options) -> int:
    how = {"skip_damaged": options.skip_damaged, "skip_missing": options.skip_missing}
    failed = 0
    for split in SPLITS:
        start = time.perf_counter()
        try:
            samples = ThreeDPW(options.DIR, split, **how, scaled=options.scaled)
        except DataError as error:  # the other splits may be whole
            print(f"{split}: {error}", file=sys.stderr)
            failed += 1
        else:
            print(f"{split}, {time.perf_counter() - start:.1f} s: {samples.summary()}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
