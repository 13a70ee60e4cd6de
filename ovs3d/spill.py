"""Tensors that together may be larger than memory: what exceeds a budget lies in mapped files.

Whoever reads them needs no other code: the operating system brings pages in when they are read and
drops them when memory is short. Values are the same on either side of the budget, and so are
results.
"""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Literal

import numpy as np
import torch
from torch import Tensor

from ovs3d.device import free_memory, to_device

_AUTO_SHARE = 0.5
"""Of the memory that is free, taken when no budget is given."""
_GIGABYTE = 10**9

Row = tuple[Tensor, ...]


class Spill:
    """Collects tensors on a device, and in files of a scratch folder once a budget is used up."""

    def __init__(
        self, device: torch.device, gigabytes: float | Literal["auto"], folder: Path
    ) -> None:
        """Set the budget.

        Args:
            device: where tensors go that fit.
            gigabytes: of that device's memory, 10^9 bytes each; `auto` takes half of what is free.
            folder: of the scratch files. They have no name while they are in use, so that nothing
                is left of them, however the process ends.
        """
        self.device = device
        self._folder = folder
        self._left = (
            free_memory(device) * _AUTO_SHARE if gigabytes == "auto" else gigabytes * _GIGABYTE
        )

    def collect(self, parts: Iterable[Row]) -> Row:
        """Join the rows of several tables.

        Args:
            parts: tuples of K tensors on any device; the k-th ones have equal types and shapes but
                for their first axis.

        Returns:
            K tensors, the k-th ones joined along the first axis; on `device`, or on the CPU in
            mapped files.
        """
        kept: list[Row] = []
        size = 0
        remaining = iter(parts)
        for part in remaining:
            kept.append(tuple(to_device(tensor, self.device) for tensor in part))
            size += sum(tensor.nbytes for tensor in part)
            # Joining needs everything twice for a moment.
            if 2 * size > self._left:
                return self._write(chain(kept, remaining))
        self._left -= size
        return tuple(torch.cat(column) for column in zip(*kept, strict=True))

    def _write(self, parts: Iterator[Row]) -> Row:
        first = next(parts)
        self._folder.mkdir(parents=True, exist_ok=True)
        # Closed when they are mapped.
        files = [tempfile.TemporaryFile(dir=self._folder) for _ in first]  # noqa: SIM115
        rows = [0] * len(first)
        for part in chain([first], parts):
            for column, tensor in enumerate(part):
                files[column].write(tensor.cpu().contiguous().view(torch.uint8).numpy().data)
                rows[column] += len(tensor)
        return tuple(
            _map(file, torch.Size((count, *like.shape[1:])), like.dtype)
            for file, count, like in zip(files, rows, first, strict=True)
        )


def _map(file: IO[bytes], shape: torch.Size, dtype: torch.dtype) -> Tensor:
    file.flush()
    # The mapping outlives the file object, and the file's space is free once both are gone.
    with file:
        data = np.memmap(file, np.uint8, "r+", shape=(shape.numel() * dtype.itemsize,))
    return torch.from_numpy(data).view(dtype).view(shape)


@dataclass(frozen=True, eq=False)
class Drawn:
    """Row numbers that the host has drawn, and so knows without asking the device that reads them.

    Attributes:
        here: int64 [N] on the CPU.
        there: the same on the device that reads rows.
    """

    here: Tensor
    there: Tensor

    @classmethod
    def on(cls, device: torch.device, index: Tensor) -> "Drawn":
        """Send row numbers of the CPU, int64 [N], to the device that reads the rows."""
        return cls(index, to_device(index, device))


def take(table: Tensor, index: Tensor | Drawn) -> Tensor:
    """Return rows of a collected tensor, on the device of the index.

    Args:
        table: on any device.
        index: int64 [N]; if it is `Drawn`, nothing waits even for a table in mapped files.
    """
    if isinstance(index, Drawn):
        rows, device = index.here if table.device.type == "cpu" else index.there, index.there.device
    else:
        rows, device = index.to(table.device), index.device
    return to_device(table.index_select(0, rows), device)
