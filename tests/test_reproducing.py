"""REPRODUCING.md stays true: what it measured stands in its tables, its commands and its links exist."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kp_helpers.results.pages import COMMAND

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "REPRODUCING.md").read_text()
PROSE = re.sub(r"<!-- begin (\w+).*?<!-- end \1 -->", "", TEXT, flags=re.DOTALL)
COMMANDS = sorted(set(re.findall(r"`((?:make|python -m) [^`]+)`", PROSE)))


def test_its_parts_are_there():
    heads = re.findall(r"^## (.*)$", TEXT, re.MULTILINE)
    assert heads == [
        "Scope",
        "What was easy",
        "What was hard",
        "The claims",
        "The paper's numbers",
        "Deviations",
        "Next steps that the paper names",
        "Times",
        "On Stable Diffusion 1.5 and 3DPW",
    ]


def test_what_was_measured_stands_in_the_tables_only():
    """The tables are compared with the committed files in test_readme; the prose holds none of its own."""
    words = re.sub(r"Diffusion 1\.5|95 %( |\n)intervals?", "", PROSE)
    assert not re.findall(r"\d ?(?:%|±|minutes|hours|seconds|points|times)|\d\.\d", words)


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_are_known(command):
    words = command.split()
    if words[0] == "make":
        done = subprocess.run([*words, "--dry-run"], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    else:
        words = [sys.executable, *words[1:4], "--help"]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0 and "usage" in done.stdout


def test_the_command_that_writes_the_tables_is_among_them():
    assert COMMAND in COMMANDS and len(COMMANDS) >= 5


def test_its_links_are_there():
    for target in re.findall(r"\]\(([^)#]+)\)", PROSE):
        assert (ROOT / target).exists(), target
