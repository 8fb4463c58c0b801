"""Command line: `python -m kp_helpers.results index DIR`, and `readme` for the tables of the texts."""

import argparse
import sys
from pathlib import Path

from kp_helpers.results.pages import index, write_texts
from kp_helpers.results.run_folder import ResultsError, project_path


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m kp_helpers.results", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("index", help="gather all runs into summary.csv and index.html")
    command.add_argument("folder", type=Path, help="the results folder")
    command = commands.add_parser("readme", help="write the tables of README.md and REPRODUCING.md")
    command.add_argument("folder", type=Path, nargs="?", default=project_path("results"))
    command.add_argument("--texts", type=Path, default=project_path("."), help="the folder of the two texts")
    options = parser.parse_args(arguments)
    folder = options.folder
    if not folder.is_dir():
        print(f"{folder} is no folder", file=sys.stderr)
        return 2
    if options.command == "index":
        damaged = index(folder)
        print(*damaged, f"wrote {folder / 'index.html'} and {folder / 'summary.csv'}", sep="\n")
        return 1 if damaged else 0
    try:
        texts = write_texts(folder, options.texts)
    except (ResultsError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"wrote the tables of {', '.join(path.name for path in texts)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
