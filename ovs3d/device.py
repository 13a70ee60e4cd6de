"""The one place that knows about devices: choice, generators, optimisers, precision, transfers."""

import ctypes
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from ovs3d.errors import ParamsError

ADAM_BETAS = (0.9, 0.99)
"""Sec. A.3."""
LEAST_COSINE = 0.999
"""Between an encoder's outputs in float32 and in a lower precision that may stand for it."""
_GROUP = Path("/sys/fs/cgroup")
_LIMITS = (
    ("memory.max", "memory.current", ""),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_"),
)
"""Limit and use of memory in a container, and how the keys of its statistics begin: of control
groups' second and first version."""
_MALLOPT = ((-1, 1 << 30), (-3, 1 << 25))
"""Settings of glibc's allocator: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD at its largest."""
_CORE_BATCH = 64
"""Inputs of an encoder that runs on one core; with more, small models gain less than a tenth."""
_CHUNK_SHARE = 1 / 8
"""Of a GPU's free memory, that one chunk of work may take."""
_MOST_CHUNK = 32
"""Times the chunk of a CPU: enough to keep a GPU busy. As the last bits of some sums depend on the
chunk, most cards should come to the same."""
_TENSOR_CORES = (7, 0)
"""CUDA compute capability from which half precision is faster than float32."""


def resolve_device(name: str) -> torch.device:
    """Turn the `device` parameter into a torch device; `auto` prefers CUDA.

    Raises:
        ParamsError: `cuda` is asked for but this machine has none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ParamsError("device: cuda, but torch finds no CUDA GPU here; use auto or cpu")
    if name == "auto":
        name = "cuda" if available else "cpu"
    return torch.device(name)


def keep_freed_memory() -> None:
    """Let this process keep what it frees, up to a gigabyte, where its C library is glibc.

    By default, glibc returns the temporaries of an iteration to the system, which clears the same
    pages for the next one: an eighth of the time of reconstruction on a CPU.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        for setting in _MALLOPT:
            library.mallopt(*setting)


def make_generator(seed: int, device: torch.device) -> torch.Generator:
    """Return a random generator on `device`, seeded."""
    return torch.Generator(device=device).manual_seed(seed)


def adam(groups: Iterable[dict[str, Any]]) -> torch.optim.Adam:
    """Return Adam with the paper's betas over parameter groups that carry their own `lr`."""
    return torch.optim.Adam(list(groups), betas=ADAM_BETAS, eps=1e-8, fused=True)


def free_memory(device: torch.device) -> int:
    """Return the bytes that may still be used on a device: free, or reclaimable, and within limits.

    A container's limit counts where Linux tells it.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # torch keeps what tensors have left for the next ones.
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free) + unused
    information = Path("/proc/meminfo")
    if not information.exists():  # not Linux: all there is, in use or not
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    lines = (line.split() for line in information.read_text().splitlines())
    free = next(int(words[1]) * 1024 for words in lines if words[0] == "MemAvailable:")
    for limit, used, prefix in _LIMITS:
        file = _GROUP / limit
        if file.exists() and (text := file.read_text().strip()).isdigit():
            taken = int((_GROUP / used).read_text()) - _cached_files(file.parent, prefix)
            free = min(free, max(0, int(text) - taken))
    return free


def chunk_size(on_cpu: int, bytes_each: int, device: torch.device) -> int:
    """Return how many rays, samples or pixels to work on at a time.

    Args:
        on_cpu: the number on a CPU, where temporaries should be few enough to be used again while
            they are in a cache.
        bytes_each: of temporaries, about.
        device: where the work is done.

    Returns:
        On a GPU, which is busy only with many, `on_cpu` doubled as often as its free memory allows.
    """
    size = on_cpu
    if device.type != "cpu":
        most = free_memory(device) * _CHUNK_SHARE / bytes_each
        while 2 * size <= min(most, _MOST_CHUNK * on_cpu):
            size *= 2
    return size


def _cached_files(group: Path, prefix: str) -> int:
    """Return the bytes of a control group's use that are cached files: given up when needed."""
    statistics = group / "memory.stat"
    if not statistics.exists():
        return 0
    sizes = dict(line.split() for line in statistics.read_text().splitlines())
    return sum(int(sizes.get(f"{prefix}{kind}_file", 0)) for kind in ("inactive", "active"))


def to_device(value: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor of the CPU to `device`; for a GPU from pinned memory, without waiting."""
    if device.type == "cpu" or value.device.type != "cpu":
        return value.to(device)
    pinned = value.pin_memory() if device.type == "cuda" else value
    return pinned.to(device, non_blocking=True)


def constant(values: float | Sequence[float], like: Tensor) -> Tensor:
    """Return numbers as a tensor of the type and on the device of another, without waiting."""
    return to_device(torch.tensor(values, dtype=like.dtype), like.device)


def where_set(mask: Tensor, count: int) -> Tensor:
    """Return which entries of a mask [N] are set, int64 [count], whose number is known already."""
    if mask.device.type == "cpu":  # there it takes half the time
        return mask.nonzero().view(-1)
    return torch.nonzero_static(mask, size=count).view(-1)


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Return a context in which encoders compute in `dtype`; float32 leaves everything as is."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)


def lowest_precision(device: torch.device, encode: Callable[[torch.dtype], Tensor]) -> torch.dtype:
    """Choose the precision of an encoder.

    Args:
        device: where it runs.
        encode: runs it in a precision and returns its vectors [..., D].

    Returns:
        The first half-precision type that the device computes faster than float32 and in which
        every vector keeps a cosine of `LEAST_COSINE` to float32; float32 if there is none.
    """
    expected = encode(torch.float32).float()
    for dtype in _fast_types(device):
        # NaN, from an overflow, is not above anything.
        if cosine_similarity(encode(dtype).float(), expected, dim=-1).min() >= LEAST_COSINE:
            return dtype
    return torch.float32


@contextmanager
def encoder_workers(device: torch.device) -> Iterator[int]:
    """Yield how many threads should run an encoder side by side, while torch is set up for them.

    On a CPU: one for each of torch's own threads, which are one per worker inside the block.
    Whole batches on one core each leave no core idle between operations, and what they compute
    does not depend on the number of cores. A GPU has one queue.
    """
    if device.type != "cpu":
        yield 1
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


def encoder_batch(batch: int, device: torch.device) -> int:
    """Return how many inputs each of `encoder_workers` gets at a time.

    It is `batch`, on a CPU not more than keep a core busy. The last bits of what an encoder
    computes depend on it, so it must be the same on all machines of a kind, however many cores
    they have.
    """
    return min(batch, _CORE_BATCH) if device.type == "cpu" else batch


def _fast_types(device: torch.device) -> tuple[torch.dtype, ...]:
    if device.type == "cuda":
        modern = torch.cuda.get_device_capability(device) >= _TENSOR_CORES
        return (torch.float16, torch.bfloat16) if modern else ()
    if device.type == "cpu":
        # Older versions of torch cannot say what the CPU has.
        has: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        if any(has.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16")):
            return (torch.bfloat16,)
    return ()
