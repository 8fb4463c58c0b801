"""The tables and plots of `results/benchmarks` from its JSON files; what has no file is not measured.

Usage: python -m benchmarks.report [FOLDER], after the commands that the page itself names.
"""

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

from kp_helpers.store import replace_file

FOLDER = Path("results/benchmarks")
ATTENTION = {
    "attention-sd15-cpu": ("Stable Diffusion 1.5's shape, random weights, CPU", "--shape sd15 --device cpu"),
    "attention-figures-cpu": ("figures model, CPU", "--shape figures --device cpu"),
}
GPU = {
    "attention-sd15-cuda": (
        "Stable Diffusion 1.5's shape, random weights, GPU",
        "--shape sd15 --device cuda",
    ),
    "attention-sdxl-cuda": (
        "Stable Diffusion XL's shape, random weights, GPU",
        "--shape sdxl --device cuda --only step",
    ),
    "attention-sd15-strict-cuda": (
        "The third stage to the last bit, KEYPOINT_KIT_DETERMINISM=A, GPU",
        "--shape sd15 --device cuda --only 'third stage'",
    ),
    "attention-figures-cuda": ("figures model, GPU", "--shape figures --device cuda"),
}
"""File -> what it holds, and the options that made it; `benchmarks/gpu.sh` makes those of a GPU."""
_ORDER = ("plain", "coupled", "read-out", "kit")


def main(arguments: list[str] | None = None) -> int:
    """Write `README.md`, `attention.png` and `growth.png` into the folder; returns the exit status."""
    folder = Path((arguments or sys.argv[1:] or [FOLDER])[0])
    parts = ["# Speed and memory\n", _preface(), *(_attention(folder, name) for name in ATTENTION)]
    parts += [_on_gpu(folder), _memory(folder), _growth(folder), _drift(folder), _encode_once(folder)]
    replace_file(folder / "README.md", lambda partial: partial.write_text("\n".join(filter(None, parts))))
    return 0


def _preface() -> str:
    return (
        "Ratios of things that were measured in one run, on a CPU each case in a process of its own. "
        "`plain` is the formulation as the papers have it (`benchmarks/plain.py`): the whole U-Net, features "
        "upsampled to 128 x 128 and projected there. Peak memory is the whole process's, on a GPU all that "
        "torch holds, weights included.\n"
    )


def _on_gpu(folder: Path) -> str:
    measured = [name for name in GPU if (folder / f"{name}.json").exists()]
    if not measured:
        return "## On a GPU\n\nNot measured: no such device was at hand. `benchmarks/gpu.sh`\n"
    return "\n".join(_attention(folder, name) for name in measured)


def _attention(folder: Path, name: str) -> str:
    title, options = (ATTENTION | GPU)[name]
    command = f"`python -m benchmarks.attention {options} --json results/benchmarks/{name}.json`"
    content = _read(folder / f"{name}.json")
    if content is None:
        return f"## {title}\n\nNot measured: no such device was at hand. {command}\n"
    picture = ""
    if len(content["rows"]) > 1:
        _plot_attention(content, folder / f"{name}.png")
        picture = f"\n\n![seconds and memory]({name}.png)"
    rate = content["matrix_rate"]["float32"] / 1e9
    facts = f"{content['machine']}, {content['threads']} threads, torch {content['torch']}, "
    facts += f"matrix rate {rate:.0f} GFLOP/s in float32. {content.get('note', '')}".rstrip()
    table = _markdown(pd.DataFrame([_attention_row(row) for row in content["rows"]]))
    return f"## {title}\n\n{command}\n\n{facts}\n\n{table}{picture}\n"


def _attention_row(row: dict) -> dict:
    share = row["measured_share"]
    rate = row["rate_share"]
    return {
        "job": row["name"],
        "mode": row["mode"],
        "precision": row["precision"],
        "seconds": f"{row['seconds']:.3g}" + ("" if share == 1 else f" ({share:.1%} of it run)"),
        "peak memory, GB": f"{row['peak_bytes'] / 1e9:.2f}",
        "TFLOP": f"{row['flops'] / share / 1e12:.3g}",
        "share of the matrix rate": "" if rate is None else f"{rate:.0%}",
        "times faster": f"{row['speedup']:.2f}",
        "times less memory": f"{row['memory_ratio']:.2f}",
    }


def _plot_attention(content: dict, path: Path) -> None:
    rows = pd.DataFrame(content["rows"])
    rows["memory, GB"] = rows["peak_bytes"] / 1e9
    rows["how"] = rows["mode"] + ", " + rows["precision"]
    figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for axis, column in zip(axes, ("seconds", "memory, GB"), strict=True):
        sns.barplot(rows, y="name", x=column, hue="how", ax=axis, legend=axis is axes[0])
        axis.set(ylabel="", xscale="log" if column == "seconds" else "linear")
    axes[1].set_yticklabels([])
    _save(figure, path)


_JOBS = {
    "step": "coupled step",
    "read-out step": "read-out step",
    "reading": "reading",
    "checkpointed step": "checkpointed",
}


def _memory(folder: Path) -> str:
    rows = _read(folder / "memory.json")
    if rows is None:
        return ""
    table = pd.DataFrame(rows)
    table["weights, GB"] = table["weight_bytes"] / 1e9
    table["peak, GB"] = table["peak_bytes"] / 1e9
    index = ["shape", "dtype", "device", "weights, GB"]
    peaks = table.pivot_table(index=index, columns="job", values="peak, GB").reset_index()
    peaks = peaks.rename(columns={job: f"{name}, GB" for job, name in _JOBS.items()})
    shown = peaks.map(lambda value: f"{value:.1f}" if isinstance(value, float) else value)
    return (
        "## Memory of a step\n\n`python -m benchmarks.memory --shape sd15 --dtype bfloat16`\n\n"
        "Random weights in the published shapes, each at its own size of picture, without text encoders; the "
        "largest memory of the whole process. A step is one image with its view, a reading two views of a "
        "picture. Checkpointed: the coupled step with gradient checkpointing of the U-Net, which is no "
        "setting of the kit: it would have to make a step a third smaller, and frozen convolutions keep no "
        f"inputs already. nan: not measured.\n\n{_markdown(shown)}\n"
    )


def _growth(folder: Path) -> str:
    content = _read(folder / "growth.json")
    if content is None:
        return ""
    rows = pd.DataFrame(content["rows"])
    rows["GB beyond model and returned maps"] = (rows["extra_bytes"] - rows["maps_bytes"]).clip(lower=0) / 1e9
    modes = list(rows["mode"].unique())  # a panel that lacks one keeps the others' colours
    figure, axes = plt.subplots(2, 4, figsize=(14, 6), layout="constrained", sharey="row")
    for column, axis in enumerate(rows["axis"].unique()):
        own = rows[rows["axis"] == axis]
        for line, what in enumerate(("seconds", "GB beyond model and returned maps")):
            place = axes[line, column]
            shown = {"hue": "mode", "hue_order": modes, "legend": not (line or column)}
            sns.lineplot(own, x="value", y=what, marker="o", ax=place, **shown)
            place.set(xscale="log", xlabel=axis.replace("_", " "), xticks=own["value"].unique())
            place.set_xticklabels(own["value"].unique())
            place.minorticks_off()
    for place in axes[0]:
        place.set_yscale("log")
    _save(figure, folder / "growth.png")
    command = "`python -m benchmarks.growth --json results/benchmarks/growth.json`"
    text = (
        f"A step on the {content['shape']} model; one thing grows, the others stay at 500 tokens, 128 x 128, "
        "one image and its view, one run. Seconds are the processor's, in one thread."
    )
    return f"## Growth\n\n{command}\n\n{text}\n\n![growth](growth.png)\n"


def _drift(folder: Path) -> str:
    found = [_read(path) for path in sorted(folder.glob("drift-*.json"))]
    if not found:
        return ""
    rows = [
        {
            "U-Net": f"{one['shape']}, {one['device']}",
            "maps": one["maps"],
            "largest value": f"{one['largest_value']:.3f}",
            "largest difference": f"{one['largest_difference']:.1e}",
            "mean difference": f"{one['mean_difference']:.1e}",
            "maximum moves, median px of 128": f"{one['maximum_moved_median_px']:.1f}",
            "mean": f"{one['maximum_moved_mean_px']:.2f}",
            "largest": f"{one['maximum_moved_largest_px']:.0f}",
            "over 2 px": f"{one['maxima_moved_over_2_px']:.1%}",
        }
        for one in found
    ]
    command = "`python -m benchmarks.drift --shape figures --json results/benchmarks/drift-figures.json`"
    return f"## bfloat16 against float32\n\n{command}\n\n{_markdown(pd.DataFrame(rows))}\n"


def _encode_once(folder: Path) -> str:
    content = _read(folder / "encode-once.json")
    if content is None:
        return ""
    rows = [
        {
            "what": name,
            "points": one["points"],
            "moves, median px of 128": f"{one['median_px']:.2f}",
            "mean": f"{one['mean_px']:.2f}",
            "over 2 px": f"{one['over_2_px_percent']:.0f}%",
            "within 1/20 of the square": f"{one['hits_percent']:.0f}%",
        }
        for name, one in content["moved"].items()
    ]
    command = "`python -m benchmarks.encode_once --json results/benchmarks/encode-once.json`"
    text = (
        f"Taught joints of the figures world in {content['views']} views. `predict` with several views "
        "encodes a picture once and warps its latents; evaluation encodes every view."
    )
    return f"## A picture that is encoded once\n\n{command}\n\n{text}\n\n{_markdown(pd.DataFrame(rows))}\n"


def _read(path: Path) -> dict | None:
    return json.loads(path.read_text()) if path.is_file() else None


def _markdown(table: pd.DataFrame) -> str:
    lines = [list(table.columns), ["---"] * len(table.columns), *table.astype(str).values.tolist()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _save(figure, path: Path) -> None:
    replace_file(path, lambda partial: figure.savefig(partial, dpi=110, format="png"))
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
