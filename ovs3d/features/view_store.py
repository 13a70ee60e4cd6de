"""What the feature stores share: one shard per view, resumable, safe with several writers.

A store is a Zarr v3 group. Its attributes say what it was made from; a fingerprint over them
decides whether a store on disk is continued or started over. They also hold the digests of all
files that are there from the start. The array of a stage's results has one shard per view, named
`c.<row>.0...`, with checksums of its own, and after what Zarr knows of, its origin: a digest of the
fingerprint and the view, so that a shard of another view or store is not taken for this one's. A
shard is renamed into place when it is whole: a view is done when its shard exists, and writers on
different views never touch the same file.
"""

import fcntl
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self
from uuid import uuid4

import numpy as np
import zarr
from numpy.typing import NDArray
from torch import Tensor
from zarr.storage import MemoryStore

from ovs3d.errors import StoreError
from ovs3d.features.zarr_arrays import create_results, open_array, unreadable
from ovs3d.files import atomic_path, digest

_VERSION = 3


class ViewStore:
    """What both stores share: opening, resuming, and one result array with a shard per view."""

    _STAGE: ClassVar[str]
    _ARRAY: ClassVar[str]

    def __init__(self, path: Path) -> None:
        """Open what is on disk, complete or not.

        Raises:
            StoreError: there is no store at `path`, or it is not one of this kind and version.
        """
        self.path = path
        try:
            group = zarr.open_group(path, mode="r+", zarr_format=3)
            self.attributes: dict[str, Any] = dict(group.attrs)
            self._check_attributes()
            self._results = open_array(group, self._ARRAY)
            self.views: tuple[int, ...] = tuple(self.attributes["views"])
            self.dim: int = self.attributes["dim"]
            self.encoder_digest: str = self.attributes["encoder_digest"]
            self.fingerprint: str = self.attributes["fingerprint"]
            self._read_attributes(group)
        # What Zarr and JSON raise for missing, foreign or broken metadata.
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._broken(path, error) from None

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a finished store for reading.

        Raises:
            StoreError: there is none, it is foreign or of another version, views are missing, or
                the file of a view is cut off.
        """
        store = cls(path)
        for view in store.views:
            # The index at a shard's start, its origin at the end and one chunk tell whether it is
            # whole and the right one.
            store._read(view, (0,) * (store._results.ndim - 1))
        return store

    @property
    def items(self) -> int:
        """Windows or tokens per view."""
        return math.prod(self._results.shape[1:-1])

    def has(self, view: int) -> bool:
        """Tell whether the results of a view are there, every byte as it was written."""
        try:
            self._read(view)
        except StoreError:
            return False
        return True

    def check(self) -> None:
        """Read everything against the checksums.

        Raises:
            StoreError: a view is missing or a byte of it has changed.
        """
        for view in self.views:
            self._read(view)

    def missing(self) -> tuple[int, ...]:
        """Return the views that are still to be written."""
        return tuple(view for view in self.views if not self.has(view))

    def write(self, view: int, values: Tensor) -> None:
        """Store the results of one view as float16.

        Args:
            view: photo index, one of `views`.
            values: as one row of the result array, any float type and device.

        Raises:
            StoreError: a value is not finite in float16, or another run has started the store over.
        """
        halves = values.half().cpu().numpy()
        if not np.isfinite(halves).all():
            raise StoreError(f"{self.path}: view {view} has values that float16 cannot hold")
        content = self._encoded(halves) + self._origin(view)
        shard = self._shard(view)
        partial = shard.with_name(f"{shard.name}.{uuid4().hex}.partial")
        # A worker may still be at work on a view when its run has ended and another has begun.
        if type(self)(self.path).fingerprint != self.fingerprint:
            raise StoreError(f"{self.path}: another run has started it over; repeat this one")
        try:
            partial.write_bytes(content)
            partial.replace(shard)
        finally:
            partial.unlink(missing_ok=True)

    def finish(self) -> None:
        """Remove what killed writers left behind, once all views are there."""
        for leftover in self.path.rglob("*.partial"):
            leftover.unlink()
        for leftover in self.path.parent.glob(f".{self.path.name}.*.tmp"):
            shutil.rmtree(leftover)

    def bytes_on_disk(self) -> int:
        """Return the size of all files."""
        return sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())

    @classmethod
    def _resume(
        cls, path: Path, attributes: Mapping[str, Any], build: Callable[[zarr.Group], None]
    ) -> Self:
        """Open the store at `path` if it was made from the same things, else start it over."""
        sealed = _seal({**cls._format(), **attributes})
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.parent):
            try:
                store = cls(path)
                if store.attributes["fingerprint"] == sealed["fingerprint"]:
                    return store
            except StoreError:
                pass
            if path.is_file():
                path.unlink()
            # Whole before it is in place, so that a reader never meets half a store.
            with atomic_path(path) as temporary:
                group = zarr.create_group(temporary, zarr_format=3, attributes=sealed)
                build(group)
                files = sorted(file for file in temporary.rglob("*/*") if file.is_file())
                digests = {str(file.relative_to(temporary)): digest(file) for file in files}
                group.update_attributes({"files": digests})
            return cls(path)

    @classmethod
    def _format(cls) -> dict[str, Any]:
        return {"format": f"ovs3d.{cls._STAGE}", "version": _VERSION}

    def _read_attributes(self, group: zarr.Group) -> None:
        raise NotImplementedError

    def _row(self, view: int) -> int:
        if view not in self.views:
            known = ", ".join(map(str, self.views))
            raise StoreError(f"{self.path}: has no features of view {view}, only of {known}")
        return self.views.index(view)

    def _shard(self, view: int) -> Path:
        tail = ".0" * (self._results.ndim - 1)
        return self.path / self._ARRAY / f"c.{self._row(view)}{tail}"

    def _origin(self, view: int) -> bytes:
        """Return what ends the shard of a view of this store, and no other."""
        return hashlib.sha256(f"{self.fingerprint} {view}".encode()).digest()

    def _encoded(self, halves: NDArray[np.float16]) -> bytes:
        """Return a row of the result array as Zarr would have it in a shard."""
        memory: dict[str, Any] = {}
        group = zarr.create_group(MemoryStore(memory), zarr_format=3)
        create_results(group, self._ARRAY, (1, *halves.shape), self._results.chunks[1:-1])
        open_array(group, self._ARRAY)[0] = halves
        (shard,) = (value for key, value in memory.items() if not key.endswith("zarr.json"))
        return bytes(shard.to_bytes())

    def _read(self, view: int, within: tuple[int, ...] = ()) -> NDArray[np.float16]:
        """Read the results of a view, or those at an index within them."""
        shard = self._shard(view)
        # Zarr reads a missing shard as one of zeros.
        if not shard.is_file():
            raise StoreError(
                f"{shard}: view {view} is missing; fetch it with `dvc pull` or finish the store "
                f"with `dvc repro {self._STAGE}`"
            )
        try:
            origin = self._origin(view)
            with shard.open("rb") as file:
                file.seek(max(0, shard.stat().st_size - len(origin)))
                if file.read() != origin:
                    raise ValueError("cut off, damaged at the end, or of another view or store")
            return np.asarray(self._results[(self._row(view), *within)])
        except (OSError, ValueError, RuntimeError) as error:
            raise self._broken(shard, error) from None

    def _check_attributes(self) -> None:
        for key, expected in self._format().items():
            if self.attributes.get(key) != expected:
                raise ValueError(f"its {key} is {self.attributes.get(key)}, not {expected}")
        made_from = dict(self.attributes)
        files, fingerprint = made_from.pop("files"), made_from.pop("fingerprint")
        if _seal(made_from)["fingerprint"] != fingerprint:
            raise ValueError("its attributes do not match their fingerprint")
        for name, expected in files.items():
            if digest(self.path / name) != expected:
                raise ValueError(f"{name} does not match its digest")

    def _broken(self, path: Path, error: BaseException) -> StoreError:
        return unreadable(path, f"{self._STAGE} store", self._STAGE, error)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other writers from looking into a folder while this one may replace its store."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _seal(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes as JSON gives them back, with a fingerprint over all of them."""
    text = json.dumps(attributes, sort_keys=True)
    plain: dict[str, Any] = json.loads(text)
    return {**plain, "fingerprint": hashlib.sha256(text.encode()).hexdigest()}
