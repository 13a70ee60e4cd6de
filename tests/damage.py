"""What disks and interrupted copies do to files."""

import random
from pathlib import Path


def flip_bit(path: Path, seed: int) -> None:
    """Change one bit of a file, at a place that the seed chooses."""
    generator = random.Random(seed)
    content = bytearray(path.read_bytes())
    content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    path.write_bytes(content)


def truncate(path: Path, seed: int) -> None:
    """Cut a file off, at a place that the seed chooses."""
    content = path.read_bytes()
    path.write_bytes(content[: random.Random(seed).randrange(len(content))])
