"""The layers of the package, read from the source: who may import whom, and which third parties."""

import ast
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
LAYERS = (
    {"config", "geometry", "store", "metrics", "intervals"},
    {"heatmaps", "keypoints", "losses", "regress"},
    {"diffusion", "attention", "embeddings", "data"},
    {"reading"},
    {"stages"},
    {"evaluate", "predict"},
    {"results", "notebook", "widgets", "reproduce"},
)
BESIDE = {"figures", "open_vocabulary", "editing"}
"""The synthetic world with its model, and what is shown on it: outside the layers, and imported by none."""
LAYER = {module: number for number, modules in enumerate(LAYERS) for module in modules}
FILES = sorted((ROOT / "kp_helpers").rglob("*.py"))


def name_of(path: Path) -> str:
    """kp_helpers/data/draw.py -> kp_helpers.data.draw; a package's __init__ is the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in FILES}


def imported(path: Path, everywhere: bool = True) -> set[str]:
    """Full names of what a file imports; without `everywhere` only what it imports as it is loaded."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import in line {node.lineno}, expected the full name"
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in MODULES else node.module for name in full}
    return names


def part(name: str) -> str:
    """The module or package directly under kp_helpers that a full name belongs to."""
    return [*name.split("."), ""][1]


@pytest.mark.parametrize("name", [name for name in MODULES if part(name) not in BESIDE | {""}])
def test_a_module_imports_only_from_its_own_layer_and_below(name):
    assert part(name) in LAYER, f"{name} stands in no layer"
    own = {other for other in imported(MODULES[name]) if other.startswith("kp_helpers")}
    for other in own - {"kp_helpers"}:
        assert part(other) not in BESIDE, f"{name} imports {other}, which stands beside the layers"
        assert LAYER[part(other)] <= LAYER[part(name)], f"{name} imports {other} from a higher layer"


@pytest.mark.parametrize("name", [name for name in MODULES if part(name) == "editing"])
def test_editing_imports_the_world_and_floors_up_to_reading(name):
    own = {part(other) for other in imported(MODULES[name]) if other.startswith("kp_helpers.")}
    for other in own - BESIDE:
        assert LAYER[other] <= LAYER["reading"], f"{name} imports {other} from a higher layer"


def test_models_are_reached_through_two_modules_only():
    for name, path in MODULES.items():
        tops = {other.split(".")[0] for other in imported(path)}
        if part(name) not in {"diffusion", "attention"} | BESIDE:
            assert "diffusers" not in tops, f"{name} imports diffusers"
        if LAYER.get(part(name), 9) <= 1:
            assert not tops & {"diffusers", "transformers"}, f"{name} imports a model library"


def test_nothing_but_notebooks_and_reproduce_imports_what_notebooks_need():
    for name, path in MODULES.items():
        if part(name) not in {"notebook", "widgets", "reproduce"}:
            parts = {part(other) for other in imported(path) if other.startswith("kp_helpers.")}
            assert not parts & {"notebook", "widgets"}, f"{name} imports what is for notebooks"


def test_the_listing_stays_short():
    entries = {part(name) for name in MODULES} - {""}
    assert len(entries) <= 24, f"{len(entries)} entries beside __init__.py, expected 24 at most"


def test_there_is_no_import_cycle():
    left = {name: imported(path, everywhere=False) & MODULES.keys() for name, path in MODULES.items()}
    packages = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    while left:
        free = {name for name, needs in left.items() if not (needs - {name} - packages) & left.keys()}
        assert free, f"these import one another: {sorted(left)}"
        left = {name: needs for name, needs in left.items() if name not in free}


def test_what_is_imported_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["formats"]]
    declared = {Requirement(line).name.lower().replace("_", "-") for line in lines}
    owners = metadata.packages_distributions()
    tops = {other.split(".")[0] for path in FILES for other in imported(path)}
    for top in sorted(tops - sys.stdlib_module_names - {"kp_helpers"}):
        names = {owner.lower().replace("_", "-") for owner in owners.get(top, [top])}
        assert names & declared, f"{top} is imported and not among the dependencies"


def test_the_package_itself_is_light():
    assert imported(MODULES["kp_helpers"]) == {"importlib"}, "the verbs are imported when they are used"
