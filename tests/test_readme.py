"""The README stays true: its commands exist and its table is that of the committed reference run."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kp_helpers.diffusion import FIGURES
from kp_helpers.model_folder import WEIGHTS, sha256

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
RUN = "reference-quick"
METHODS = ("appended, readout mode", "base token", "mean position")


def commands() -> list[str]:
    """Every line of the README's fenced blocks that is a shell command, without its comment."""
    blocks = [block for block in README.split("```")[1::2] if block.startswith("\n")]
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def cells() -> dict[str, dict]:
    return {
        row["name"]: row
        for row in json.loads((ROOT / f"results/08_evaluate_3dpw/{RUN}/metrics.json").read_text())
    }


@pytest.mark.parametrize("command", [line for line in commands() if line.startswith("make ")])
def test_make_knows_its_targets(command):
    done = subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", [line for line in commands() if line.startswith("python ")])
def test_modules_know_their_commands(command):
    _, dash_m, module, *words = command.split()
    name = words[:1] if not words[0].startswith("-") else []
    done = subprocess.run(
        [sys.executable, dash_m, module, *name, "--help"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0 and "usage" in done.stdout


def test_there_is_no_other_kind_of_command():
    assert len(commands()) == 14 and all(line.startswith(("make ", "python ")) for line in commands())


@pytest.mark.parametrize("joint", ["left_foot", "head", "left_elbow"])
@pytest.mark.parametrize("measure", ["in a meaningful direction", "within 1/48 of the frame"])
def test_the_table_is_the_reference_runs(joint, measure):
    rows = [cells()[f"{joint}, {method}: {measure}"] for method in METHODS]
    shown = [
        f"{r['value']:.1f} ± {r['sd']:.1f} [{r['interval'][0]:.0f}, {r['interval'][1]:.0f}]" for r in rows
    ]
    assert f"| {joint.replace('_', ' ')} | {measure} | {' | '.join(shown)} |" in README
    if rows[0]["paper"] is not None:
        line = next(
            line for line in README.splitlines() if f"| {joint.replace('_', ' ')} | {measure} |" in line
        )
        assert f"| {rows[0]['paper']:.1f}" in line and rows[0]["source"].split(", ")[-1] in line


def test_the_code_runs():
    """In profile smoke, on noise: what is tested is that the names and shapes are right."""
    torch.manual_seed(0)
    names = {"unlabelled_images": torch.rand(2, 3, 128, 128), "five_images": torch.rand(5, 3, 128, 128)}
    names |= {"five_points": torch.rand(5, 2), "test_images": torch.rand(3, 3, 128, 128)}
    block = next(block for block in README.split("```")[1::2] if block.startswith("python\n"))
    exec(block.removeprefix("python\n").replace('"quick"', '"smoke"'), names)
    assert names["points"].shape == (3, 2)


def test_links_and_pictures_are_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_reference_run_is_named_as_figures():
    shipped = sha256(FIGURES / "unet" / WEIGHTS["unet"])
    for path in ROOT.glob(f"results/*/{RUN}/config.json"):
        config = json.loads(path.read_text())
        assert config["data"]["kind"] == "figures" and config["model"]["sha256"] == shipped
    assert "Measured on the figures world" in README
