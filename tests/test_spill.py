from pathlib import Path
from typing import IO

import pytest
import torch
from torch import Tensor

from ovs3d import spill
from ovs3d.spill import Spill, take

CPU = torch.device("cpu")


def _parts() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [
        (torch.rand(rows, 3, generator=generator), torch.rand(rows + 1, generator=generator).half())
        for rows in (40, 1, 25)
    ]


@pytest.mark.parametrize("gigabytes", [1.0, 2e-7, 0.0], ids=["in memory", "second part", "all"])
def test_tables_are_joined_on_either_side_of_the_budget(tmp_path: Path, gigabytes: float) -> None:
    first, second = Spill(CPU, gigabytes, tmp_path).collect(_parts())
    expected = [torch.cat(column) for column in zip(*_parts(), strict=True)]
    assert torch.equal(first, expected[0])
    assert torch.equal(second, expected[1])
    assert first.dtype == torch.float32
    assert second.dtype == torch.float16


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """Return a list that grows with every table that is mapped."""
    shapes: list[torch.Size] = []
    map_file = spill._map

    def counted(file: IO[bytes], shape: torch.Size, dtype: torch.dtype) -> Tensor:
        shapes.append(shape)
        return map_file(file, shape, dtype)

    monkeypatch.setattr(spill, "_map", counted)
    return shapes


def test_what_exceeds_the_budget_lies_in_files_without_a_name(
    tmp_path: Path, mapped: list[torch.Size]
) -> None:
    tables = Spill(CPU, 1e-6, tmp_path)
    tables.collect([(torch.zeros(100),)])
    # 400 of 1000 bytes are taken, and the next 200 need 400 for a moment: they fit.
    tables.collect([(torch.zeros(50),)])
    assert not mapped
    tables.collect([(torch.zeros(60),)])
    assert mapped == [(60,)]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("free", "expected"), [(1600, []), (1599, [(100,)])])
def test_without_a_budget_half_of_the_free_memory_is_taken(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mapped: list[torch.Size],
    free: int,
    expected: list[tuple[int]],
) -> None:
    monkeypatch.setattr(spill, "free_memory", lambda _: free)
    Spill(CPU, "auto", tmp_path).collect([(torch.zeros(100),)])
    assert mapped == expected


def test_rows_come_back_in_the_order_of_the_index(tmp_path: Path) -> None:
    (table,) = Spill(CPU, 0.0, tmp_path).collect([(torch.arange(12.0).view(6, 2),)])
    assert take(table, torch.tensor([4, 0, 4])).tolist() == [[8.0, 9.0], [0.0, 1.0], [8.0, 9.0]]
