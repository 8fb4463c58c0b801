"""Pictures that processes on all cores render while a model trains on those that are there already."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import get_context

from tqdm.auto import tqdm


@contextmanager
def rendered(
    make: Callable, jobs: Sequence[tuple], take: Callable, *, enough: Callable[[], bool], about: str
) -> Iterator[None]:
    """`take(make(*job))` for each of the `jobs` in turn, beside what is done inside, which begins when
    `enough()`, or all are taken.

    Rendering yields to the training, whose main thread has to keep the device busy.
    """
    renderers = ProcessPoolExecutor(
        os.cpu_count(), mp_context=get_context("spawn"), initializer=os.nice, initargs=(10,)
    )

    def fill(made: list) -> None:
        for one in tqdm(made, desc=about, unit="shard", mininterval=5):
            take(one.result())

    with ThreadPoolExecutor(1) as taker:
        filling = taker.submit(fill, [renderers.submit(make, *job) for job in jobs])
        while not (filling.done() or enough()):
            time.sleep(0.2)
        if filling.done():
            filling.result()  # what went wrong, if anything did
        try:
            yield
        finally:
            renderers.shutdown(cancel_futures=True)
    with suppress(CancelledError):  # of those that were not needed any more
        filling.result()
