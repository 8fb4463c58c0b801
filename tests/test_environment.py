"""The three files that say what is installed agree: pyproject.toml, requirements.lock, environment.yml."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text().splitlines()
PINS = dict(line.split("==") for line in LOCK if not line.startswith("#"))


def key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_lock_holds_exact_pins_and_nothing_else():
    for line in LOCK:
        assert re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line), line
    assert PINS["torch"] == "2.13.0", "a build such as +cpu would bind everybody to it"


@pytest.mark.parametrize("group", ["", "dev", "app", "site", "cluster", "formats"])
def test_every_dependency_is_pinned_within_its_bounds(group):
    pins = {key(name): version for name, version in PINS.items()}
    lines = PROJECT["optional-dependencies"][group] if group else PROJECT["dependencies"]
    for requirement in map(Requirement, lines):
        assert pins[key(requirement.name)] in requirement.specifier, requirement


def test_conda_installs_the_same():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    assert conda == [f"python{PROJECT['requires-python']}", "pip"]
    assert pip == {"pip": ["-c requirements.lock", "-e .[dev]"]}
    assert environment["name"] == PROJECT["name"]


def test_the_version_is_told_once():
    import kp_helpers

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == kp_helpers.__version__ == metadata.version("keypoint-kit")
    assert f"## {kp_helpers.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_binder_installs_the_same():
    lines = (ROOT / ".binder" / "requirements.txt").read_text().splitlines()
    assert lines[2:] == ["--constraint ../requirements.lock", "--editable ."]
    assert (ROOT / ".binder" / "runtime.txt").read_text() == "python-3.11\n"
