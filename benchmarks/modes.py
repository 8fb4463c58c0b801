"""Accuracy of coupled and read-out mode side by side, on the protocol's runs of the figures world.

The same draws of labelled and test pictures, the same base embedding and settings (profile quick); only the
mode and the number of kept views differ.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from tqdm.auto import tqdm

from kp_helpers import config, diffusion, evaluate
from kp_helpers.files import replace_file
from kp_helpers.results import describe_data

BASE = Path("results/02_stable_keypoints/reference-quick/embedding.safetensors")
VARIANTS = (("readout", 4), ("coupled", 4), ("coupled", 0))
"""Mode and `augmentation_pool`: views of a picture that are kept, 0 for new ones each step."""
_SHOWN = ("in a meaningful direction", "within 1/48 of the frame", "mean error")


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.modes", description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=Path("build/figures"), help="3DPW's layout (build/figures)"
    )
    parser.add_argument("--joint", action="append", help="a joint, may be repeated (left_foot)")
    parser.add_argument("--runs", type=int, default=8, help="runs of the protocol (8)")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where the rows go")
    options = parser.parse_args(arguments)
    content = measured(options.data, tuple(options.joint or ["left_foot"]), options.runs)
    replace_file(options.json, lambda partial: partial.write_text(json.dumps(content, indent=1) + "\n"))
    return 0


def measured(data: Path, joints: tuple[str, ...], runs: int) -> dict:
    """Rows of every variant, joint and measure, and the differences from read-out mode."""
    settings, model = config.profile("quick"), diffusion.load("figures")
    settings = settings.replace(protocol=settings.protocol.replace(runs=runs))
    base = evaluate.load_base(BASE, model)
    sets = tuple(evaluate.data_set(data, split, joints) for split in ("train", "test"))
    found = []
    jobs = [(*variant, joint, run) for joint in joints for run in range(runs) for variant in VARIANTS]
    for mode, pool, joint, run in tqdm(jobs, desc="runs"):
        own = settings.replace(appended=settings.appended.replace(mode=mode, augmentation_pool=pool))
        found += _run(model, base, sets, own, joint, run, _name(mode, pool))
    scores = evaluate.score(found)
    rows = [row for row in map(_row, evaluate.summarise(scores, 5)) if row["measure"] in _SHOWN]
    first, *others = (_name(*variant) for variant in VARIANTS)
    about = {"data": f"Data: {describe_data(data)['kind']}", "model": f"model: {model.name}"}
    compared = evaluate.differences(scores, first, others)
    differences = compared.astype(object).where(compared.notna(), None).to_dict("records")
    return {**about, "runs": runs, "settings": _settings(settings), "rows": rows, "differences": differences}


def _run(model, base, sets, settings, joint: str, run: int, name: str) -> list[evaluate.Found]:
    drawn = evaluate.draw_run(*sets, joint, run, settings.protocol)
    train, test = (evaluate.framed(samples, model.image_size, settings.protocol) for samples in drawn)
    appended = evaluate.learn(model, base, train, joint, settings.appended, run)
    found = evaluate.compare(model, appended, train, test, joint, settings, run)
    own = evaluate.appended_name(settings.appended)
    return [replace(one, method=name) for one in found if one.method == own]


def _row(one: evaluate.Measured) -> dict:
    mode, pool = one.method.split(", ")
    low, high = one.interval or (None, None)
    numbers = {"value": one.value, "sd": one.sd, "low": low, "high": high, "n": one.n}
    return {"joint": one.joint, "mode": mode, "pool": int(pool), "measure": one.measure, **numbers}


def _name(mode: str, pool: int) -> str:
    return f"{mode}, {pool}"


def _settings(settings: config.Profile) -> str:
    stage, protocol = settings.appended, settings.protocol
    return (
        f"{protocol.runs} runs of {protocol.test_images} test pictures, {protocol.train_images} labelled; "
        f"{stage.steps} steps of {stage.images_per_step} pictures, maps of {stage.reading.map_size}."
    )


if __name__ == "__main__":
    sys.exit(main())
