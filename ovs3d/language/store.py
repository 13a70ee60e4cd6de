"""`language.zarr`: the arrays of a language volume, and what they were made of."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from ovs3d.errors import StoreError
from ovs3d.features.zarr_arrays import open_array, unreadable, write_array
from ovs3d.files import atomic_path

Arrays = Mapping[str, NDArray[Any]]

NAME = "language.zarr"
_FORMAT = {"format": "ovs3d.lift", "version": 1}
_ROWS_PER_CHUNK = 1 << 16


def write_arrays(path: Path, arrays: Arrays, attributes: Mapping[str, Any]) -> None:
    """Write a group, atomically; equal content gives equal bytes.

    Args:
        path: of the group.
        arrays: by name.
        attributes: JSON values.
    """
    sealed = {**_FORMAT, **attributes}
    with atomic_path(path) as temporary:
        group = zarr.create_group(
            temporary,
            zarr_format=3,
            attributes={**sealed, "digest": _digest(arrays, sealed)},
        )
        for name, array in sorted(arrays.items()):
            rows = max(1, min(len(array), _ROWS_PER_CHUNK))
            write_array(group, name, array, (rows, *array.shape[1:]))


def read_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read what `write_arrays` wrote: arrays and attributes.

    Raises:
        StoreError: the group is missing, damaged, foreign or of another version.
    """
    if not path.exists():
        raise StoreError(f"{path}: not built yet; run `dvc repro lift` for its scene")
    try:
        group = zarr.open_group(path, mode="r", zarr_format=3)
        attributes = dict(group.attrs)
        found = {key: attributes.get(key) for key in _FORMAT}
        if found != _FORMAT:
            raise ValueError(f"it is {found}, not {_FORMAT}")
        digest = attributes.pop("digest")
        arrays = {name: np.asarray(open_array(group, name)[:]) for name in sorted(group)}
        if _digest(arrays, attributes) != digest:
            raise ValueError("its content does not match its digest")
    # What Zarr and JSON raise for missing, foreign or broken metadata, and for damaged chunks.
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise unreadable(path, "language volume", "lift", error) from None
    return arrays, attributes


def _digest(arrays: Arrays, attributes: Mapping[str, Any]) -> str:
    hasher = hashlib.sha256(json.dumps(attributes, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        hasher.update(f"{name} {array.dtype} {array.shape}".encode())
        hasher.update(np.ascontiguousarray(array).data)
    return hasher.hexdigest()
