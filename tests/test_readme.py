"""README, REPRODUCING and docs stay true: commands and links exist, code runs, tables are the runs'."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from kp_helpers.diffusion import FIGURES
from kp_helpers.diffusion.model_folder import WEIGHTS
from kp_helpers.figures.render import render
from kp_helpers.figures.scene import draw_scene
from kp_helpers.metrics.paper import EXACT
from kp_helpers.results.claims import answers_of
from kp_helpers.results.pages import COMMAND, blocks_of, write_texts
from kp_helpers.store import sha256

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
USING = (ROOT / "docs" / "using.md").read_text()
REPRODUCING = (ROOT / "REPRODUCING.md").read_text()
RUN = "reference"


def prose(text: str) -> str:
    """A text without the tables that are written from the runs."""
    return re.sub(r"<!-- begin (\w+).*?<!-- end \1 -->", "", text, flags=re.DOTALL)


def commands() -> list[str]:
    """Every shell command of the fenced blocks of README and docs, and of REPRODUCING's prose."""
    blocks = [block for text in (README, USING) for block in text.split("```")[1::2]]
    blocks = [block for block in blocks if block.startswith("\n")]
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`((?:make|python -m) [^`]+)`", prose(REPRODUCING))
    return list(dict.fromkeys(line for line in lines if line))


@pytest.mark.parametrize("command", commands())
def test_commands_are_known(command, monkeypatch, capsys):
    words = command.split()
    if words[0] == "make":
        done = subprocess.run([*words, "--dry-run"], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return
    if words[0] == "benchmarks/gpu.sh":
        assert subprocess.run(["bash", "-n", words[0]], cwd=ROOT).returncode == 0
        return
    assert words[0] == "python", "there is no other kind of command"
    name = [word for word in words[3:4] if not word.startswith("-")]
    monkeypatch.setattr(sys, "argv", [words[2], *name, "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module(words[2], run_name="__main__")
    assert not end.value.code and "usage" in capsys.readouterr().out


def test_what_was_measured_stands_in_the_tables_only():
    """The tables are compared with the committed files below; REPRODUCING's prose holds no number."""
    words = re.sub(r"Diffusion 1\.5|95 %( |\n)intervals?", "", prose(REPRODUCING))
    assert not re.findall(r"\d ?(?:%|±|minutes|hours|seconds|points|times)|\d\.\d", words)
    assert COMMAND in commands()


def test_its_tables_are_those_of_the_committed_runs(tmp_path):
    (tmp_path / "docs").mkdir()
    texts = list(blocks_of([], answers_of([])))
    for name in texts:
        (tmp_path / name).write_text((ROOT / name).read_text())
    write_texts(ROOT / "results", tmp_path)
    for name in texts:
        assert (tmp_path / name).read_text() == (ROOT / name).read_text(), f"{name}: run `{COMMAND}`"


def test_the_hits_are_in_the_metrics_of_the_run_that_is_named():
    """Each number of the first column once more, from the run's own file, in the paper's mode."""
    named = re.search(r"\(results/(\S+)/README.md\)\): in percent", README)[1]
    rows = json.loads((ROOT / "results" / named / "metrics.json").read_text())
    shown = dict(re.findall(r"^\| (left foot|head|left elbow) \| (\S+ \[\S+ \S+\]) ", README, re.M))
    own = {row["joint"]: row for row in rows if row["name"].endswith(f"coupled mode: {EXACT}")}
    texts = {joint: (row["value"], *row["interval"]) for joint, row in own.items()}
    texts = {j.replace("_", " "): "{:.0f} [{:.0f}, {:.0f}]".format(*row) for j, row in texts.items()}
    assert shown == texts and set(shown) == {"left foot", "head", "left elbow"}


def test_the_readme_is_short():
    """With its code and tables, without addresses and the bars of the tables."""
    shown = re.sub(r"<[^>]*>|\]\([^)]*\)", "", README).split()
    assert sum(any(sign.isalnum() for sign in word) for word in shown) <= 900


def test_the_verbs_run(tmp_path, monkeypatch):
    """As printed, on pictures of the world; keypoints without labels from a single step."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_folder").mkdir()
    for seed in range(6):
        image = render(draw_scene(3_000_000 + seed)).image
        Image.fromarray(image).save(tmp_path / "my_folder" / f"{seed}.png")
    block = next(block for block in README.split("```")[1::2] if block.startswith("python\n"))
    names = {}
    exec(
        block.removeprefix("python\n").replace("discover(model, shots)", "discover(model, shots, steps=1)"),
        names,
    )
    assert len(names["foot"].find(names["shots"]).table) == 6 and len(names["free"].tokens) == 10


def test_the_code_runs():
    """In profile smoke, on noise: what is tested is that the names and shapes are right."""
    torch.manual_seed(0)
    names = {"unlabelled_images": torch.rand(2, 3, 128, 128), "five_images": torch.rand(5, 3, 128, 128)}
    names |= {"five_points": torch.rand(5, 2), "test_images": torch.rand(3, 3, 128, 128)}
    block = next(block for block in USING.split("```")[1::2] if block.startswith("python\n"))
    exec(block.removeprefix("python\n").replace('"quick"', '"smoke"'), names)
    assert names["points"].shape == (3, 2)


def test_links_and_pictures_are_there():
    for text, folder in ((README, ROOT), (REPRODUCING, ROOT), (USING, ROOT / "docs")):
        shown = prose(text) if text is REPRODUCING else text
        for target in re.findall(r"\]\(([^)#]+)\)", shown) + re.findall(r'<img src="([^"]+)"', shown):
            assert (folder / target).exists(), target


def test_the_reference_run_is_named_as_figures():
    shipped = sha256(FIGURES / "unet" / WEIGHTS["unet"])
    for path in ROOT.glob(f"results/*/{RUN}*/config.json"):
        config = json.loads(path.read_text())
        assert config["data"]["kind"] == "figures" and config["model"]["sha256"] == shipped, path
    assert "Measured on the synthetic figures world" in README


def test_what_the_commands_read_is_of_the_shipped_model():
    shipped = sha256(FIGURES / "unet" / WEIGHTS["unet"])
    for notebook in ("02_stable_keypoints", "03_appended_embedding"):
        with safe_open(ROOT / "results" / notebook / RUN / "embedding.safetensors", "pt") as file:
            assert shipped in str(file.metadata())


def test_what_is_committed_of_runs_is_light():
    """Executed notebooks stay on the machine that ran them."""
    kept = [path for path in ROOT.glob("results/*/reference*/**/*") if path.name != "notebook.ipynb"]
    kept += [path for path in ROOT.glob("results/*") if path.is_file()]
    assert sum(path.stat().st_size for path in kept if path.is_file()) < 12_000_000
