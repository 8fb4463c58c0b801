"""One command of a command line, as `python -m kp_helpers.figures` and its like have them."""

import argparse
import sys


def run_command(parser: argparse.ArgumentParser, arguments: list[str] | None = None) -> int:
    """Parse the arguments and call the command's `run` with them; returns the exit status.

    What `run` returns is the status, None is 0. Wrong input and a loss that is not finite give one sentence.
    """
    options = parser.parse_args(arguments)
    try:
        return options.run(options) or 0
    except (OSError, ValueError, FloatingPointError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
