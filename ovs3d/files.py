"""Atomic writes and content digests: a reader never sees a half-written file."""

import csv
import errno
import glob
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_BLOCK_BYTES = 1 << 20
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Libraries that report no error number: safetensors, SQLite (in COLMAP).
_NO_SPACE_TEXTS = (os.strerror(errno.ENOSPC), "database or disk is full")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place when the block ends well.

    Works for a file or a folder. On an exception the temporary is removed and whatever stood at
    `path` before is left as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    _remove(temporary)
    try:
        yield temporary
        if path.is_dir():
            if not temporary.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
            # A folder cannot be renamed onto a non-empty one, nor onto a link.
            _remove(path)
        temporary.replace(path)
    finally:
        _remove(temporary)


def remove_abandoned(path: Path) -> None:
    """Remove what processes that were killed left beside `path`, see `atomic_path`."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        process = leftover.name.split(".")[-2]
        if process.isdecimal() and not _alive(int(process)):
            # Somebody else's may stay; it is in nobody's way.
            with suppress(PermissionError):
                _remove(leftover)


def write_json(path: Path, content: Any) -> None:
    """Write `content` as indented JSON with a final newline, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows that share their keys as CSV with a header, atomically."""
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's content as 64 hexadecimal digits."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            hasher.update(block)
    return hasher.hexdigest()


def no_space_left(error: BaseException) -> bool:
    """Tell whether an error, or one that it came from, says that a disk or quota is full."""
    origin: BaseException | None = error
    while origin is not None:
        if isinstance(origin, OSError) and origin.errno in _NO_SPACE:
            return True
        if any(text in str(origin) for text in _NO_SPACE_TEXTS):
            return True
        origin = origin.__cause__ or origin.__context__
    return False


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # Somebody else's.
    except PermissionError:
        pass
    return True


def _remove(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    try:
        shutil.rmtree(path)
    except PermissionError:
        # Copied from folders that cannot be written.
        for folder in (
            path,
            *(Path(top, name) for top, names, _ in os.walk(path) for name in names),
        ):
            if not folder.is_symlink():
                folder.chmod(0o700)
        shutil.rmtree(path)
