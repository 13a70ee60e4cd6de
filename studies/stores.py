"""Rewritten copies of feature stores: other vectors in the same windows and tokens."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from numpy.typing import NDArray
from torch import Tensor

from ovs3d.features.store import FeatureStore
from ovs3d.features.token_store import TokenStore
from ovs3d.features.view_store import ViewStore
from ovs3d.features.zarr_arrays import open_array

Rewrite = Callable[[int, Tensor], Tensor]
"""View and its vectors, float32 -> other vectors of the same shape."""


def boxes_of(store: FeatureStore) -> NDArray[np.int16]:
    """Return the windows [views, M, 4] of a store: left, upper, right, lower in working pixels."""
    return np.asarray(open_array(zarr.open_group(store.path, mode="r"), "boxes")[:])


def rewrite_windows(store: FeatureStore, path: Path, why: Any, change: Rewrite) -> FeatureStore:
    """Write a copy of a store with other embeddings.

    Args:
        store: to copy.
        path: of the copy; one that an equal call began is finished.
        why: JSON values that fix the change.
        change: gets embeddings [M, D].
    """
    copy = FeatureStore.resume(path, _attributes(store, why), boxes_of(store))
    for view in copy.missing():
        copy.write(view, change(view, torch.from_numpy(store.embeddings(view)).float()))
    return copy


def rewrite_tokens(store: TokenStore, path: Path, why: Any, change: Rewrite) -> TokenStore:
    """Write a copy of a store with other tokens; as `rewrite_windows`, of tokens [h, w, E]."""
    copy = TokenStore.resume(path, _attributes(store, why))
    for view in copy.missing():
        copy.write(view, change(view, store.load([view], torch.device("cpu"))[0].float()))
    return copy


def _attributes(store: ViewStore, why: Any) -> dict[str, Any]:
    own = ("format", "version", "fingerprint", "files")
    kept = {key: value for key, value in store.attributes.items() if key not in own}
    return {**kept, "changed": [store.fingerprint, why]}
