"""Time the attention modes against the plain formulation, in one run and in turn.

On a CPU each case runs in a process of its own, so that its peak memory is its own; a GPU's is told case by
case, and starting anew would take longer than measuring. The plain formulation of a job runs just before the
kit's modes of it.
"""

import argparse
import gc
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import torch
from tqdm.auto import tqdm

from benchmarks import cases, measure, shapes
from kp_helpers.results.provenance import describe_machine
from kp_helpers.store import replace_file

DEVICES = ("cpu", "cuda")


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        print("--device cuda: no CUDA device here, expected one; its rows stay not measured", file=sys.stderr)
        return 1
    names = list(dict.fromkeys(case.name for case in cases.cases(options.shape, options.device)))
    for name in options.only or ():
        if name not in names:
            print(f"--only {name!r} is no job, expected one of: {', '.join(names)}", file=sys.stderr)
            return 1
    before = json.loads(options.json.read_text())["rows"] if options.only and options.json.exists() else []
    for content in run(options.shape, options.device, options.only or names):
        whole = {**content, "rows": _merged(before, content["rows"], names)}
        replace_file(options.json, lambda partial, whole=whole: partial.write_text(_text(whole)))
    return 0


def run(shape: str, device: str, names: list[str]) -> Iterator[dict]:
    """Facts of the machine and one row for each case of these names, after each case: what ends the run
    early leaves the rows before.
    """
    rates = {precision: _rate(device, precision) for precision in cases.PRECISIONS}
    facts = {
        "shape": shape,
        "device": device,
        "machine": _machine(device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "matrix_rate": rates,
    }
    rows: list[dict] = []
    chosen = [(place, case) for place, case in enumerate(cases.cases(shape, device)) if case.name in names]
    for place, case in tqdm(chosen, desc=f"{shape}, {device}"):
        rows.append(_row(case, _measured_alone(shape, device, place), rates, rows))
        tqdm.write(_line(rows[-1]))
        yield {**facts, "rows": rows}


def _measured_alone(shape: str, device: str, place: int) -> measure.Cost:
    """The cost of one case, with nothing left of those before."""
    if device == "cuda":
        gc.collect()
        return _measured(shape, device, place)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        return alone.submit(_measured, shape, device, place).result()


def _measured(shape: str, device: str, place: int) -> measure.Cost:
    case = cases.cases(shape, device)[place]
    measure.round_products(case.precision == "tf32")
    return measure.cost(case.build(_setup(shape, device)), device, case.repeats)


@cache
def _setup(shape: str, device: str) -> cases.Setup:
    return cases.Setup(shapes.load(shape, device))


def _row(case: cases.Case, cost: measure.Cost, rates: dict, before: list[dict]) -> dict:
    """One row of the table; speedup and memory_ratio are the first row of the same name over this one."""
    seconds = cost.seconds / case.share
    first = next((row for row in before if row["name"] == case.name), None)
    rate = cost.flops / cost.seconds / rates[case.precision] if rates[case.precision] else None
    return {
        "name": case.name,
        "mode": case.mode,
        "precision": case.precision,
        "seconds": seconds,
        "measured_share": case.share,
        "speedup": first["seconds"] / seconds if first else 1.0,
        "memory_ratio": first["peak_bytes"] / cost.peak_bytes if first else 1.0,
        "rate_share": rate,
        **{key: value for key, value in asdict(cost).items() if key != "seconds"},
    }


def _merged(before: list[dict], measured: list[dict], names: list[str]) -> list[dict]:
    """A file's rows with those of jobs that were measured again in their place, in the order of names."""
    again = {row["name"] for row in measured}
    rows = [row for row in before if row["name"] not in again] + measured
    return sorted(rows, key=lambda row: names.index(row["name"]))


def _rate(device: str, precision: str) -> float | None:
    """The measured matrix rate; on a CPU of float32 alone, since the others are emulated there."""
    if device == "cpu" and precision != "float32":
        return None
    measure.round_products(precision == "tf32")
    return measure.matrix_rate(device, torch.bfloat16 if precision == "bfloat16" else torch.float32)


def _text(content: dict) -> str:
    return json.dumps(content, indent=1) + "\n"


def _machine(device: str) -> str:
    found = describe_machine(device)
    return found["gpu"] or f"{found['cores']} x {found['processor']}"


def _line(row: dict) -> str:
    return (
        f"{row['name']}, {row['mode']}, {row['precision']}: {row['seconds']:.3g} s, "
        f"{row['peak_bytes'] / 1e9:.2f} GB, {row['speedup']:.2f} x time, {row['memory_ratio']:.2f} x memory"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attention", description=__doc__)
    parser.add_argument("--shape", choices=shapes.SHAPES, default="figures", help="whose U-Net (figures)")
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="where it runs (cpu)")
    parser.add_argument(
        "--only",
        action="append",
        metavar="NAME",
        help="one job alone, may be repeated; FILE keeps the others",
    )
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where the rows go")
    return parser


if __name__ == "__main__":
    sys.exit(main())
