"""How far a taught joint's point moves where the VAE encodes a picture once and its latents are warped.

The exact way encodes every view; beside it, how far points move where only the noise is drawn anew. On the
figures world: five labels by the recipe `best`, then ten views of each test picture of the validation split.
"""

import argparse
import json
import sys
from pathlib import Path

import torch

from benchmarks import shapes
from kp_helpers import config, evaluate
from kp_helpers.reading import read_appended, read_keypoints
from kp_helpers.store import replace_file

JOINTS, VIEWS, PIXELS = ("left_foot", "head", "left_elbow"), 10, 128
CHANGES = {"warped latents": {"encode": "once"}, "other noise": {"seed": 1}}


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encode_once", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("build/figures"), help="the world (build/figures)")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where the numbers go")
    options = parser.parse_args(arguments)
    text = json.dumps({"views": VIEWS, "moved": moved(options.data)}, indent=1)
    print(text)
    replace_file(options.json, lambda partial: partial.write_text(text + "\n"))
    return 0


def moved(data: Path) -> dict[str, dict[str, float]]:
    """By change: how far points move in pixels of 128, and in percent how many are hits (within 1/20)."""
    model = shapes.load("figures", "cpu")
    sets = [evaluate.data_set(data, split, JOINTS) for split in ("train", "validation")]
    best = config.profile("quick", preset="best")
    exact = best.test.replace(views=VIEWS)
    points = {name: [] for name in ("every view", *CHANGES)}
    labels = []
    for joint in JOINTS:
        drawn = evaluate.draw_run(*sets, joint, 0, best.protocol)
        train, test = (evaluate.framed(samples, model.image_size, best.protocol) for samples in drawn)
        no_base = torch.zeros(1, model.context_width)
        taught = evaluate.learn(model, no_base, train, joint, best.appended, 0)
        labels.append(test.points(joint))
        for name, own in points.items():
            settings = exact.replace(**CHANGES.get(name, {}))
            own.append(read_keypoints(read_appended(model, taught, test.images, settings), settings))
    found = {name: torch.cat(own) for name, own in points.items()}
    return {name: _numbers(own, found["every view"], torch.cat(labels)) for name, own in found.items()}


def _numbers(points: torch.Tensor, exact: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    far = PIXELS * (points - exact).norm(dim=-1)
    hits = (points - labels).norm(dim=-1) <= 1 / 20
    return {
        "points": len(far),
        "median_px": float(far.median()),
        "mean_px": float(far.mean()),
        "over_2_px_percent": 100 * float((far > 2).float().mean()),
        "hits_percent": 100 * float(hits.float().mean()),
    }


if __name__ == "__main__":
    sys.exit(main())
