"""Threads that decode, encode and write photos side by side, in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from operator import itemgetter
from typing import TypeVar

import torch
from torch import Tensor

from ovs3d.features.view_store import ViewStore

Part = Callable[[], Tensor]
"""Encodes a part of a photo."""
Item = TypeVar("Item")
Result = TypeVar("Result")


def fill(
    store: ViewStore, views: Sequence[int], load: Callable[[int], list[Part]], workers: int
) -> Iterator[tuple[int, Tensor]]:
    """Decode, encode and write views, all three at the same time.

    Args:
        store: that lacks the views. A view that another writer brings meanwhile is left out.
        views: photo indices.
        load: decodes a photo and returns calls that each encode one part of it. The parts'
            results, one after the other, are the view's.
        workers: threads that encode.

    Yields:
        View and result of each part, in order, as progress.
    """
    # One view ahead is decoded, one is written while the next is encoded.
    wanted = (view for view in views if not store.has(view))
    loaded = in_order(lambda view: (view, load(view)), wanted, workers=1, ahead=1)
    parts = ((view, part) for view, parts in loaded for part in parts)
    encoded = in_order(lambda part: (part[0], part[1]()), parts, workers, ahead=2 * workers)
    with ThreadPoolExecutor(1) as writer:
        writing: Future[None] | None = None
        for view, results in groupby(encoded, key=itemgetter(0)):
            kept = []
            for _, result in results:
                kept.append(result)
                yield view, result
            # At most one view waits to be written.
            if writing:
                writing.result()
            writing = writer.submit(_write, store, view, kept)
        if writing:
            writing.result()


def _write(store: ViewStore, view: int, parts: list[Tensor]) -> None:
    store.write(view, torch.cat(parts))


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, ahead: int
) -> Iterator[Result]:
    """Apply a function in threads and yield the results in the order of the items.

    Chained, each step works while the next one does: decoding, encoding, writing.

    Args:
        function: what a worker does.
        items: consumed as they are needed.
        workers: threads.
        ahead: how many results may be under way beyond the one that is asked for.
    """
    with ThreadPoolExecutor(workers) as executor:
        under_way: deque[Future[Result]] = deque()
        try:
            for item in items:
                under_way.append(executor.submit(function, item))
                if len(under_way) > ahead:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            executor.shutdown(cancel_futures=True)
