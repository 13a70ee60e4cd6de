import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ovs3d import device
from ovs3d.device import (
    chunk_size,
    encoder_batch,
    encoder_workers,
    free_memory,
    lowest_precision,
    to_device,
)

CPU = torch.device("cpu")
VECTORS = torch.nn.functional.normalize(
    torch.randn(5, 64, generator=torch.Generator().manual_seed(0)), dim=-1
)


@pytest.fixture(autouse=True)
def half_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_fast_types", lambda _: (torch.float16, torch.bfloat16))


def test_lowest_precision_is_the_first_that_keeps_directions() -> None:
    assert lowest_precision(CPU, VECTORS.to) == torch.float16


def test_lowest_precision_passes_over_a_type_that_overflows() -> None:
    assert lowest_precision(CPU, lambda dtype: (VECTORS * 1e6).to(dtype)) == torch.bfloat16


def test_lowest_precision_is_float32_where_one_vector_turns() -> None:
    def encode(dtype: torch.dtype) -> Tensor:
        vectors = VECTORS.clone()
        if dtype != torch.float32:
            # The cosine of an angle of 0.05 is 0.9987.
            across = vectors[3].roll(1) - vectors[3] * (vectors[3] @ vectors[3].roll(1))
            vectors[3] += 0.05 * torch.nn.functional.normalize(across, dim=0)
        return vectors

    assert lowest_precision(CPU, encode) == torch.float32


def test_machine_without_fast_halves_takes_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True}, raising=False)
    assert lowest_precision(CPU, VECTORS.to) == torch.float32
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    assert lowest_precision(CPU, VECTORS.to) == torch.bfloat16


def test_encoder_workers_share_out_torchs_threads_and_give_them_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with encoder_workers(CPU) as workers:
            inside = torch.get_num_threads()
        assert (workers, inside, torch.get_num_threads()) == (3, 1, 3)
    finally:
        torch.set_num_threads(before)


def test_encoder_batch_does_not_depend_on_the_number_of_cores() -> None:
    before = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            assert encoder_batch(1000, CPU) == encoder_batch(64, CPU) == 64
            assert encoder_batch(5, CPU) == 5
        assert encoder_batch(1000, torch.device("cuda")) == 1000
    finally:
        torch.set_num_threads(before)


def test_chunks_of_a_gpu_follow_its_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    card = torch.device("cuda")
    free = {0: 100, 8 * 4000: 100, 8 * 8000: 200, 8 * 17_000: 400, 10**12: 3200}
    for memory, expected in free.items():
        monkeypatch.setattr(device, "free_memory", lambda _, memory=memory: memory)
        assert chunk_size(100, bytes_each=40, device=card) == expected
        assert chunk_size(100, bytes_each=40, device=CPU) == 100


def test_to_device_leaves_a_tensor_of_the_cpu_where_it_is() -> None:
    assert to_device(VECTORS, CPU) is VECTORS


@pytest.mark.parametrize(
    ("limit", "used", "prefix"),
    [
        ("memory.max", "memory.current", ""),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_"),
    ],
    ids=["version 2", "version 1"],
)
def test_cached_files_of_a_container_count_as_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, used: str, prefix: str
) -> None:
    monkeypatch.setattr(device, "_GROUP", tmp_path)
    (tmp_path / limit).parent.mkdir(exist_ok=True)
    (tmp_path / limit).write_text("13000\n")
    (tmp_path / used).write_text("12200\n")
    assert free_memory(CPU) == 800
    # Keys without the prefix leave out what runs below the group.
    lines = [f"{prefix}inactive_file 6000", f"{prefix}active_file 3000", "anon 5", "active_file 7"]
    (tmp_path / limit).with_name("memory.stat").write_text("\n".join(lines[: 4 if prefix else 3]))
    assert free_memory(CPU) == 9800


_FAULTS = """
import resource, torch
from ovs3d.device import keep_freed_memory
def faults():
    for call in range(30):
        if call == 10:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        parts = [torch.ones(1 << 20) for _ in range(16)]
        del parts
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
returned = faults()
keep_freed_memory()
print(returned, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_kept_memory_is_not_cleared_again() -> None:
    # The threshold that glibc begins with. Left alone it raises that by what it sees freed, and
    # then it is chance, what lies on top of the heap, whether anything is returned.
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": str(128 << 10)}
    printed = subprocess.check_output([sys.executable, "-c", _FAULTS], env=environment, text=True)
    returned, kept = map(int, printed.split())
    # 16 blocks of 4 MB are 16,384 pages a turn.
    assert kept < 1000 < returned
