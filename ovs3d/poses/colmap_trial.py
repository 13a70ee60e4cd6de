"""Read a COLMAP model in a process of its own, which may do what a damaged file makes it do.

COLMAP believes the counts in its binary files: a wrong one keeps it reading, or takes all memory.
"""

import math
import resource
import struct
import subprocess
import sys
import time
from pathlib import Path

import pycolmap

# What a reading may take, at least and for each byte of the files: time of the processor, so that
# a busy machine refuses nothing, and memory.
_SECONDS, _SECONDS_PER_BYTE = 1, 1e-7
_BYTES, _BYTES_PER_BYTE = 1 << 28, 50
# A file begins with a number of records; each has at least so many bytes.
_RECORDS = {"cameras.bin": 48, "images.bin": 73, "points3D.bin": 51}
# What comes before the parameters of a camera: id, model, width, height.
_CAMERA = struct.Struct("<IiQQ")


def try_reading(folder: Path) -> str | None:
    """Return what is wrong with a binary model, or None if it can be read."""
    for path in sorted(folder.glob("*.bin")):
        with path.open("rb") as file:
            (count,) = struct.unpack("<Q", file.read(8).ljust(8, b"\xff"))
        if count * _RECORDS.get(path.name, 1) > path.stat().st_size:
            return f"{path.name} is cut off or damaged"
    if not _whole_cameras((folder / "cameras.bin").read_bytes()):
        return "cameras.bin is cut off or damaged"
    size = sum(path.stat().st_size for path in folder.glob("*.bin"))
    command = [sys.executable, "-m", __name__, str(folder), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    if not done.returncode:
        return None
    lines = done.stderr.strip().splitlines()
    told = lines[-1].partition("Error: ")[2] if lines else ""
    return told or "a file of it is cut off or damaged"


def _whole_cameras(content: bytes) -> bool:
    """Tell whether cameras.bin is as long as it says; COLMAP takes what is missing for numbers."""
    (count,) = struct.unpack_from("<Q", content)
    at = 8
    try:
        for _ in range(count):
            _, model, width, height = _CAMERA.unpack_from(content, at)
            kind = pycolmap.CameraModelId(model)
            camera = pycolmap.Camera.create_from_model_id(1, kind, 1.0, width, height)
            at += _CAMERA.size + 8 * len(camera.params)
    # No such model, or the end came before.
    except (ValueError, struct.error):
        return False
    return at == len(content)


def main() -> None:
    """Read the model that is the first argument, whose files have as many bytes as the second."""
    folder, size = sys.argv[1], int(sys.argv[2])
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + _BYTES + _BYTES_PER_BYTE * size
    seconds = math.ceil(time.process_time() + _SECONDS + _SECONDS_PER_BYTE * size)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pycolmap.logging.minloglevel = pycolmap.logging.FATAL.value
    pycolmap.Reconstruction(folder)


if __name__ == "__main__":
    main()
