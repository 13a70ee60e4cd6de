"""Codecs and layouts of the feature stores, measured on real ones.

`python -m benchmarks.codecs data/clip_features/demo/clip.zarr data/dino_features/demo/dino.zarr`
writes `benchmarks/CODECS.md`. Each form is a copy of the store's first views in a scratch folder.
Seconds are those of the processor (all threads together), so that neither the disk nor what else
the machine does counts. A gather reads what a random pixel or a random patch needs: the windows
around a pixel at one scale, or 24 x 24 tokens.
"""

import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
import zarr.codecs.numcodecs as extra
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, BloscShuffle, Crc32cCodec, GzipCodec, ZstdCodec
from zarr.errors import ZarrUserWarning

TABLE = Path(__file__).parent / "CODECS.md"
_CHOICE = """\
The stores use Blosc with zstd at level 3 after a bit shuffle, chunks of 512 windows or 16 x 16
tokens, and one shard a view.

- Unit vectors in half precision are mostly noise: nothing saves more than a fifth. The bit shuffle
  finds what there is, because the exponents of neighbours are alike. Without a codec a store is
  larger than its array (ratio below 1), because the last chunks are filled up to their size.
- Levels above 3 save 3 to 5 % more and write at half to a sixteenth of the speed; lz4 is faster but
  keeps 2 to 4 % more. An encoder on two cores makes a few megabytes of features a second, so that
  speed hardly matters, and what is pushed and pulled does.
- Chunks below 256 windows or 16 x 16 tokens cost time in Zarr itself, chunks of a whole view make
  a gather read more than it needs, which grows with the photo. In between it makes no difference.
- One shard a view keeps a scene of 30 views at 67 files, lets several processes write at once and
  makes a view the unit of resuming; without shards it would be hundreds to thousands of files.
"""
_VIEWS = 4
"""Of the store that are measured: the views of a scene are alike."""
_GATHERS = 50
_PATCH = 24
"""Side of the patch of tokens that FDA wants, `distill.patch_tokens`."""

Array = NDArray[np.float16]


@dataclass(frozen=True)
class Layout:
    """Shape of a chunk and of a shard; no shard means one file per chunk."""

    name: str
    chunk: tuple[int, ...]
    shard: tuple[int, ...] | None


@dataclass(frozen=True)
class Store:
    """A result array, what is gathered from it at random, and forms to lay it out in."""

    name: str
    values: Array
    gathers: list[tuple[slice | int, ...]]
    layouts: list[Layout]
    """The first is the one that codecs are compared in."""


def codecs() -> Iterator[tuple[str, Any]]:
    """Yield names and compressors; `None` is none."""
    yield "none", None
    for shuffle in (BloscShuffle.noshuffle, BloscShuffle.shuffle, BloscShuffle.bitshuffle):
        name = f"Blosc zstd 3, {shuffle.value}"
        yield name, BloscCodec(cname="zstd", clevel=3, shuffle=shuffle, typesize=2)
    for level in (1, 6, 9):
        name = f"Blosc zstd {level}, bitshuffle"
        yield name, BloscCodec(cname="zstd", clevel=level, shuffle="bitshuffle", typesize=2)
    yield "Blosc lz4 5, bitshuffle", BloscCodec(cname="lz4", shuffle="bitshuffle", typesize=2)
    yield "Zstd 3", ZstdCodec(level=3)
    yield "Gzip 5", GzipCodec(level=5)
    yield "BZ2 5", extra.BZ2(level=5)
    yield "LZMA 1", extra.LZMA(preset=1)


def measure(store: Store, layout: Layout, codec: Any) -> list[str]:
    """Return ratio, write, read, gather and number of files as cells of a table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "array"
        array = zarr.create_array(
            path,
            shape=store.values.shape,
            dtype="float16",
            chunks=layout.chunk,
            shards=layout.shard,
            compressors=(codec, Crc32cCodec()) if codec else (Crc32cCodec(),),
            chunk_key_encoding={"name": "default", "separator": "."},
        )
        step = layout.shard[0] if layout.shard else 1
        start = time.process_time()
        for row in range(0, len(store.values), step):
            array[row : row + step] = store.values[row : row + step]
        written = time.process_time()
        back = [np.asarray(array[row : row + step]) for row in range(0, len(store.values), step)]
        read = time.process_time()
        for where in store.gathers:
            np.asarray(array[where])
        gathered = time.process_time()
        np.testing.assert_array_equal(np.concatenate(back), store.values)
        files = [file.stat().st_size for file in path.iterdir()]
    megabytes = store.values.nbytes / 1e6
    return [
        f"{store.values.nbytes / sum(files):.3f}",
        f"{megabytes / (written - start):.0f}",
        f"{megabytes / (read - written):.0f}",
        f"{1000 * (gathered - read) / len(store.gathers):.2f}",
        str(len(files)),
    ]


def open_clip_store(path: Path) -> Store:
    """Return the embeddings; a gather wants the windows around one pixel at one scale."""
    values: Array = np.asarray(zarr.open_array(path / "embeddings", mode="r")[:_VIEWS])
    views, windows, dim = values.shape
    counts: Any = zarr.open_group(path, mode="r").attrs["windows_per_scale"]
    generator = np.random.default_rng(0)
    gathers: list[tuple[slice | int, ...]] = []
    for _ in range(_GATHERS):
        scale = int(generator.integers(len(counts)))
        # Six rows of a lattice that is about square: the windows that can cover a pixel.
        reach = min(counts[scale], 6 * int(counts[scale] ** 0.5))
        first = sum(counts[:scale]) + int(generator.integers(counts[scale] - reach + 1))
        gathers.append((int(generator.integers(views)), slice(first, first + reach)))

    def shard(rows: int, chunk: int) -> tuple[int, int, int]:
        return rows, -(-windows // chunk) * chunk, dim

    layouts = [Layout("512 windows, shard a view", (1, 512, dim), shard(1, 512))]
    layouts += [
        Layout(f"{chunk} windows, shard a view", (1, chunk, dim), shard(1, chunk))
        for chunk in (64, 128, 256, 1024, windows)
    ]
    layouts += [
        Layout("512 windows, shard 2 views", (1, 512, dim), shard(2, 512)),
        Layout("512 windows, no shards", (1, 512, dim), None),
    ]
    return Store("clip.zarr", values, gathers, layouts)


def open_token_store(path: Path) -> Store:
    """Return the tokens; a gather wants a patch of them."""
    values: Array = np.asarray(zarr.open_array(path / "tokens", mode="r")[:_VIEWS])
    views, height, width, dim = values.shape
    generator = np.random.default_rng(0)
    side = min(_PATCH, height, width)
    gathers: list[tuple[slice | int, ...]] = []
    for _ in range(_GATHERS):
        y, x = (int(generator.integers(length - side + 1)) for length in (height, width))
        gathers.append((int(generator.integers(views)), slice(y, y + side), slice(x, x + side)))

    def shard(rows: int, tile: int) -> tuple[int, int, int, int]:
        return rows, -(-height // tile) * tile, -(-width // tile) * tile, dim

    layouts = [Layout("tiles of 16 x 16, shard a view", (1, 16, 16, dim), shard(1, 16))]
    layouts += [
        Layout(f"tiles of {tile} x {tile}, shard a view", (1, tile, tile, dim), shard(1, tile))
        for tile in (4, 8, 24, 32)
    ]
    layouts += [
        Layout("a view a chunk", (1, height, width, dim), None),
        Layout("tiles of 16 x 16, shard 2 views", (1, 16, 16, dim), shard(2, 16)),
        Layout("tiles of 16 x 16, no shards", (1, 16, 16, dim), None),
    ]
    return Store("dino.zarr", values, gathers, layouts)


def table(head: str, rows: list[list[str]]) -> str:
    """Return a Markdown table with the measured columns."""
    lines = [[head, "ratio", "write MB/s", "read MB/s", "gather ms", "files"], ["---"] * 6, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def main(paths: list[str]) -> int:
    """Measure both stores and write the tables."""
    if len(paths) != 2:
        print("usage: python -m benchmarks.codecs CLIP_STORE DINO_STORE", file=sys.stderr)
        return 2
    # Some codecs are not in Zarr's specification, which counts against them.
    warnings.simplefilter("ignore", ZarrUserWarning)
    chosen = BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle", typesize=2)
    parts = [
        "# Codecs and layouts of the feature stores",
        "",
        __doc__.split("\n\n")[1],
        "",
        _CHOICE,
    ]
    for store in (open_clip_store(Path(paths[0])), open_token_store(Path(paths[1]))):
        shape = " x ".join(map(str, store.values.shape))
        parts.append(f"## {store.name}: {shape} float16, {store.values.nbytes / 1e6:.1f} MB\n")
        measure(store, store.layouts[0], chosen)  # the first use of a codec loads it
        rows = [[name, *measure(store, store.layouts[0], codec)] for name, codec in codecs()]
        parts.append(table(f"codec ({store.layouts[0].name})", rows))
        rows = [[layout.name, *measure(store, layout, chosen)] for layout in store.layouts]
        parts.append(table("layout (Blosc zstd 3, bitshuffle)", rows))
    TABLE.write_text("\n".join(parts))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
