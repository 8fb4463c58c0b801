"""Command line: `python -m kp_helpers.results index DIR`; `readme` for the tables of the texts; `publish` for the
outputs of the notebooks.
"""

import argparse
import sys
from pathlib import Path

from kp_helpers.results.pages import index, write_texts
from kp_helpers.results.publish import publish
from kp_helpers.results.run_folder import ResultsError, project_path


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m kp_helpers.results", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("index", help="gather all runs into summary.csv and index.html")
    command.add_argument("folder", type=Path, help="the results folder")
    command = commands.add_parser("readme", help="write the tables of README.md and REPRODUCING.md")
    command.add_argument("folder", type=Path, nargs="?", default=project_path("results"))
    command.add_argument("--texts", type=Path, default=project_path("."), help="the folder of the two texts")
    command = commands.add_parser("publish", help="write the outputs of the reference runs into the notebooks")
    command.add_argument("numbers", nargs="*", metavar="NN", help="how a notebook's name begins (default: all)")
    command.add_argument("--results", type=Path, default=project_path("results"), dest="folder")
    command.add_argument("--notebooks", type=Path, default=project_path("notebooks"))
    options = parser.parse_args(arguments)
    folder = options.folder
    if not folder.is_dir():
        print(f"{folder} is no folder", file=sys.stderr)
        return 2
    if options.command == "index":
        damaged = index(folder)
        print(*damaged, f"wrote {folder / 'index.html'} and {folder / 'summary.csv'}", sep="\n")
        return 1 if damaged else 0
    if options.command == "publish":
        return _publish(options.notebooks, options.numbers, folder)
    try:
        texts = write_texts(folder, options.texts)
    except (ResultsError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"wrote the tables of {', '.join(path.name for path in texts)}")
    return 0


def _publish(notebooks: Path, numbers: list[str], results: Path) -> int:
    """Publish the notebooks whose names begin so; 1 if one could not be."""
    known = sorted(notebooks.glob("*.ipynb"))
    unknown = [number for number in numbers if not any(path.name.startswith(number) for path in known)]
    problems = [f"{number}: no notebook's name begins so" for number in unknown]
    for path in known:
        if numbers and not path.name.startswith(tuple(numbers)):
            continue
        try:
            run = publish(path, results)
        except (ResultsError, OSError) as error:
            problems.append(str(error))
        else:
            size = path.stat().st_size // 1000
            print(f"{path.name}: {f'{run.folder}, {size} kB' if run else 'no reference run yet'}")
    print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
