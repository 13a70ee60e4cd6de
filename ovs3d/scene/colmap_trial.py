"""Read a COLMAP model in a process of its own, which may do what a damaged file makes it do.

COLMAP believes the counts in its binary files: a wrong one keeps it reading, or takes all memory.
"""

import resource
import subprocess
import sys
from pathlib import Path

import pycolmap

_SECONDS, _SECONDS_PER_BYTE = 8.0, 1e-7
_BYTES, _BYTES_PER_BYTE = 4 << 30, 50


def try_reading(folder: Path) -> str | None:
    """Return what is wrong with a binary model, or None if it can be read."""
    size = sum(path.stat().st_size for path in folder.glob("*.bin"))
    command = [sys.executable, "-m", __name__, str(folder), str(_BYTES + _BYTES_PER_BYTE * size)]
    limit = _SECONDS + _SECONDS_PER_BYTE * size
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limit, check=False, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return "a file of it is damaged"
    if not done.returncode:
        return None
    lines = done.stderr.strip().splitlines()
    told = lines[-1].partition("Error: ")[2] if lines else ""
    return told or "a file of it is cut off or damaged"


def main() -> None:
    """Read the model that is the first argument in as many bytes as the second says."""
    folder, limit = sys.argv[1], int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pycolmap.logging.minloglevel = pycolmap.logging.FATAL.value
    pycolmap.Reconstruction(folder)


if __name__ == "__main__":
    main()
