"""Have the system forget, or know again, what it keeps in memory of this process's files (Linux).

Pages of a mapped file that were dropped come from the disk when they are read again, as they do
where memory is too short to keep them.
"""

import ctypes
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

_PROCESS = Path("/proc/self")
AVAILABLE = (_PROCESS / "io").exists()
"""Whether this system can; else nothing here may be called."""
_BYTES_PER_READ = 1 << 24


def drop(folder: Path) -> None:
    """Drop all pages of the open and mapped files of a folder."""
    for descriptor in _descriptors(folder):
        # Pages that are not on the disk yet cannot be dropped.
        os.fsync(descriptor)
    libc = ctypes.CDLL(None, use_errno=True)
    for start, size in _mappings(folder):
        if libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), mmap.MADV_DONTNEED):
            raise OSError(ctypes.get_errno(), "madvise")
    for descriptor in _descriptors(folder):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def fill(folder: Path) -> None:
    """Read all open files of a folder."""
    for descriptor in _descriptors(folder):
        position = 0
        while part := os.pread(descriptor, _BYTES_PER_READ, position):
            position += len(part)


def megabytes_read() -> float:
    """Return what this process had the system read from disks so far."""
    lines = (_PROCESS / "io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes")) / 1e6


def _descriptors(folder: Path) -> Iterator[int]:
    for link in list((_PROCESS / "fd").iterdir()):
        # The one of the listing itself is gone. Scratch files have no name: "<path> (deleted)".
        if link.is_symlink() and link.readlink().parent == folder.resolve():
            yield int(link.name)


def _mappings(folder: Path) -> Iterator[tuple[int, int]]:
    for line in (_PROCESS / "maps").read_text().splitlines():
        span, *_, path = line.split(maxsplit=5)
        if Path(path).parent == folder.resolve():
            start, end = (int(side, 16) for side in span.split("-"))
            yield start, end - start
