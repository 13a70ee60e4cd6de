"""Work that asks its device for numbers, such as how many samples there are.

It is a generator, which yields each number as a tensor and is sent its value. Who lets several go
on in turns finds each value there without making the device wait.
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
Asking = Generator[Tensor, int, T]


class _Sent:
    """A number on its way from its device to the host."""

    def __init__(self, number: Tensor) -> None:
        self._here = torch.empty((), dtype=number.dtype, pin_memory=number.is_cuda)
        self._here.copy_(number, non_blocking=True)
        self._arrived = None
        if number.is_cuda:
            self._arrived = torch.cuda.current_stream(number.device).record_event()

    def read(self) -> int:
        if self._arrived is not None:
            self._arrived.synchronize()
        return int(self._here)


def in_turns(works: Iterable[Asking[T]], at_a_time: int) -> Iterator[T]:
    """Do pieces of work that ask equally often; yield their results in order.

    Args:
        works: begun as late as possible.
        at_a_time: 1 does one after another; of 2, one has work for the device while the other asks.
    """
    works = iter(works)
    running: deque[tuple[Asking[T], _Sent | None]] = deque()
    while True:
        running.extend((work, None) for work in islice(works, at_a_time - len(running)))
        if not running:
            return
        work, number = running.popleft()
        try:
            asked = next(work) if number is None else work.send(number.read())
        except StopIteration as done:
            yield done.value
        else:
            running.append((work, _Sent(asked)))


def answered(work: Asking[T]) -> T:
    """Do one piece of work, waiting for each number that it asks for."""
    return next(in_turns([work], 1))
