"""The file of a checkpoint: safetensors with JSON beside the tensors, of which nothing is ever executed."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import safetensors.torch
import torch
from safetensors import safe_open

from kp_helpers.readout_cache import digest
from kp_helpers.runs import RunBatch, StepRecord

LARGEST_FILE = 2**30
Records = list[list[StepRecord]]
"""A list a step, with a record of each run."""


def conditions() -> dict:
    """What must be equal, on one machine, for equal numbers."""
    return {"torch": torch.__version__, "threads": torch.get_num_threads()}


def merged(settings: Sequence[str], about: dict) -> dict:
    """The settings of all runs and what they follow from, by name, for a comparison."""
    named = {"runs": len(settings), **about}
    for run, text in enumerate(settings):
        named |= {f"{name} of run {run}": value for name, value in json.loads(text).items()}
    return named


def difference(found: dict, wanted: dict) -> str | None:
    """The first of the wanted values that is another one, in words."""
    for name, value in wanted.items():
        if found.get(name) != value:
            return f"{name} {found.get(name)!r}, expected {value!r}"
    return None


def packed(batch: RunBatch, records: Records, head: dict) -> bytes:
    """The file's content: a batch's states and records; head: JSON values that say whose they are."""
    tensors: dict[str, torch.Tensor] = {}
    for run, state in enumerate(batch.states()):
        tensors[f"{run} context"] = state["context"]
        tensors |= {f"{run} adam {name}": value for name, value in state["optimizer"].items()}
        rows = [[row[run].loss, *row[run].parts.values()] for row in records]
        tensors[f"{run} records"] = torch.tensor(rows, dtype=torch.float64)
    parts = [list(own.parts) for own in records[0]] if records else []
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps({**head, "parts": parts}, sort_keys=True)
    return safetensors.torch.save(tensors, {"head": text, "sha256": _checksum(text, tensors)})


def read(path: Path) -> tuple[dict, dict[str, torch.Tensor]]:
    """Head and tensors of a file; any error where it is not what was written."""
    if path.stat().st_size > LARGEST_FILE:
        raise ValueError(f"it holds more than {LARGEST_FILE} bytes")
    with safe_open(path, framework="pt") as file:
        about = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
    if about["sha256"] != _checksum(about["head"], tensors):
        raise ValueError("its content is not what was written")
    return json.loads(about["head"]), tensors


def unpacked(head: dict, tensors: dict[str, torch.Tensor]) -> tuple[list[dict], Records]:
    """The states, without their settings, and the records."""
    states, columns = [], []
    for run in range(len(head["settings"])):
        table, adam = tensors[f"{run} records"].tolist(), f"{run} adam "
        moments = {name.removeprefix(adam): one for name, one in tensors.items() if name.startswith(adam)}
        states.append({"step": len(table), "context": tensors[f"{run} context"], "optimizer": moments})
        columns.append([_record(step, head["parts"][run], row) for step, row in enumerate(table)])
    return states, [list(row) for row in zip(*columns, strict=True)]


def _record(step: int, parts: list[str], numbers: list[float]) -> StepRecord:
    loss, *values = numbers
    return StepRecord(step, loss, dict(zip(parts, values, strict=True)))


def _checksum(head: str, tensors: dict[str, torch.Tensor]) -> str:
    flat = {name: tensor.reshape(-1) for name, tensor in tensors.items()}
    return hashlib.sha256(head.encode() + digest(flat).encode()).hexdigest()
