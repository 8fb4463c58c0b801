"""FAULTS.md: every row of the list of faults has a test that exists, and says what the user sees."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
LINES = re.findall(r"^\| (\d+) \| (.*?) \| (.*?) \| (.*?) \|$", (TESTS / "FAULTS.md").read_text(), re.M)
NAMED = [test for _, _, tests, _ in LINES for test in re.findall(r"`(\S+?)`", tests)]


def functions(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_row_has_a_test_and_a_sentence():
    assert [int(row) for row, *_ in LINES] == list(range(1, len(LINES) + 1))
    for row, fault, tests, seen in LINES:
        assert fault.strip() and seen.strip() and re.search(r"`test_\w+\.py::test_\w+`", tests), row


def test_every_named_test_exists():
    assert NAMED
    for name in NAMED:
        file, test = name.split("::")
        assert test in functions(file), name


def test_tests_that_bear_a_number_stand_in_their_row():
    rows = {int(row): tests for row, _, tests, _ in LINES}
    for path in TESTS.glob("test_faults_*.py"):
        for name in functions(path.name):
            if number := re.match(r"test_(\d\d)_", name):
                assert f"`{path.name}::{name}`" in rows[int(number[1])], name
