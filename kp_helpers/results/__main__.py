"""Command line: `python -m kp_helpers.results index DIR`."""

import argparse
import sys
from pathlib import Path

from kp_helpers.results.page import index


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m kp_helpers.results", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("index", help="gather all runs into summary.csv and index.html")
    command.add_argument("folder", type=Path, help="the results folder")
    folder = parser.parse_args(arguments).folder
    if not folder.is_dir():
        print(f"{folder} is no folder", file=sys.stderr)
        return 2
    damaged = index(folder)
    print("\n".join([*damaged, f"wrote {folder / 'index.html'} and {folder / 'summary.csv'}"]))
    return 1 if damaged else 0


if __name__ == "__main__":
    sys.exit(main())
