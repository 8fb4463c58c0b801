"""The processes that work on one optimisation together, as `torch.distributed` knows them; else one alone."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import distributed

Made = TypeVar("Made")


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return not distributed.is_initialized() or distributed.get_rank() == 0


def from_first(make: Callable[[], Made]) -> Made:
    """What the first process makes, in all of them; an error of `make` is raised in all of them, too."""
    if not distributed.is_initialized():
        return make()
    told: list = [None, None]
    if is_first():
        try:
            told[0] = make()
        except Exception as error:
            told[1] = error
    distributed.broadcast_object_list(told)
    if told[1] is not None:
        raise told[1]
    return told[0]


def largest(number: int, device: torch.device) -> int:
    """The largest of the numbers that the processes have, which work on `device`."""
    if not distributed.is_initialized():
        return number
    found = torch.tensor(number, device=device)
    distributed.all_reduce(found, op=distributed.ReduceOp.MAX)
    return int(found)
