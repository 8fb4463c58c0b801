"""Data sets from the command line: `python -m kp_helpers.data --help`."""

import argparse
import sys
import time
from pathlib import Path

from kp_helpers.data.errors import DataError


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

    manifest = commands.add_parser("manifest", help="write DIR/manifest.json with the SHA-256 of every file")
    manifest.add_argument("folder", type=Path, metavar="DIR")
    manifest.set_defaults(run=_manifest)

    verify = commands.add_parser("verify", help="list missing, changed and extra files; status 1 if any")
    verify.add_argument("folder", type=Path, metavar="DIR")
    verify.set_defaults(run=_verify)

    unpack = commands.add_parser("unpack", help="unpack a zip or tar, whole and inside DIR or not at all")
    unpack.add_argument("archive", type=Path, metavar="ARCHIVE")
    unpack.add_argument("folder", type=Path, metavar="DIR")
    unpack.set_defaults(run=_unpack)

    index = commands.add_parser("index", help="index a folder of 3DPW: what is read and what is left out")
    index.add_argument("folder", type=Path, metavar="DIR")
    index.add_argument("--skip-damaged", action="store_true", help="leave out frames with a damaged image")
    index.add_argument("--skip-missing", action="store_true", help="leave out frames without their image")
    index.add_argument("--scaled", action="store_true", help="scale the joints to pictures of another size")
    index.set_defaults(run=_index)
    return parser


def _manifest(options) -> int:
    from kp_helpers.data import manifest

    written = manifest.write(options.folder)
    print(f"{options.folder / manifest.NAME}: {len(written['sha256'])} files")
    return 0


def _verify(options) -> int:
    from kp_helpers.data import manifest

    difference = manifest.verify(options.folder)
    for kind in ("missing", "changed", "extra"):
        for name in getattr(difference, kind):
            print(f"{kind}: {name}")
    print(f"{options.folder}: {'differs from its manifest' if difference else 'as its manifest says'}")
    return 1 if difference else 0


def _unpack(options) -> int:
    from kp_helpers.data.archive import unpack

    print(f"{options.folder}: {len(unpack(options.archive, options.folder))} files")
    return 0


def _index(options) -> int:
    from kp_helpers.data.threedpw import SPLITS, ThreeDPW

    how = {"skip_damaged": options.skip_damaged, "skip_missing": options.skip_missing}
    read = 0
    for split in SPLITS:
        start = time.perf_counter()
        try:
            samples = ThreeDPW(options.folder, split, **how, scaled=options.scaled)
        except DataError as error:  # the other splits may be whole
            print(f"{split}: {error}", file=sys.stderr)
            continue
        read += 1
        print(f"{split}, {time.perf_counter() - start:.1f} s: {samples.summary()}")
    return 0 if read == len(SPLITS) else 1


if __name__ == "__main__":
    sys.exit(main())
