"""`language.zarr`: the arrays of a language volume, and what they were made of."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from ovs3d.errors import StoreError, one_line
from ovs3d.features.view_store import CHUNK_NAMES, codecs, open_array
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
            group.create_array(
                name,
                data=array,
                chunks=(max(1, min(len(array), _ROWS_PER_CHUNK)), *array.shape[1:]),
                compressors=codecs(array.dtype),
                chunk_key_encoding=CHUNK_NAMES,
            )


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
        raise StoreError(
            f"{path}: no readable language volume ({one_line(error)}); delete it, then restore it "
            "with `dvc checkout` or `dvc pull`, or remake it with `dvc repro lift`"
        ) from None
    return arrays, attributes


def _digest(arrays: Arrays, attributes: Mapping[str, Any]) -> str:
    hasher = hashlib.sha256(json.dumps(attributes, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        hasher.update(f"{name} {array.dtype} {array.shape}".encode())
        hasher.update(np.ascontiguousarray(array).data)
    return hasher.hexdigest()
