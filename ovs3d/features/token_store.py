"""The Zarr store of DINO tokens."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from torch import Tensor

from ovs3d.device import to_device
from ovs3d.features.view_store import ViewStore
from ovs3d.features.zarr_arrays import create_results

_TOKENS_PER_TILE = 16


class TokenStore(ViewStore):
    """`dino.zarr`: the DINO tokens of every view.

    Array: `tokens` [views, h, w, D] float16, chunked in tiles. The centre of token (i, j) is at
    ((j + 0.5) * patch * downscale, (i + 0.5) * patch * downscale) in photo pixels (x, y).

    Attributes:
        views: photo indices with tokens.
        grid: h and w.
        dim: D.
        patch: side of a patch in pixels of the downscaled photo.
        downscale: photo pixels per pixel of the downscaled photo.
        encoder_digest: of the DINO model that made the tokens.
        fingerprint: of everything that the store was made from.
    """

    _STAGE = "dino_features"
    _ARRAY = "tokens"

    @classmethod
    def resume(cls, path: Path, attributes: Mapping[str, Any]) -> "TokenStore":
        """Continue the store at `path`, or start it over if it was made from something else.

        Args:
            path: of the group.
            attributes: JSON values: `views`, `dim`, `encoder_digest`, `grid`, `patch`,
                `downscale`, and whatever else the tokens depend on.
        """

        def build(group: zarr.Group) -> None:
            height, width = attributes["grid"]
            shape = (len(attributes["views"]), height, width, attributes["dim"])
            create_results(group, cls._ARRAY, shape, (_TOKENS_PER_TILE, _TOKENS_PER_TILE))

        return cls._resume(path, attributes, build)

    def load(self, views: Sequence[int], device: torch.device) -> Tensor:
        """Return the tokens of some views as [V, h, w, D] float16.

        Raises:
            StoreError: a view is not in the store or cannot be read.
        """
        tokens = np.stack([self._read(view) for view in views])
        return to_device(torch.from_numpy(tokens), device)

    def _read_attributes(self, group: zarr.Group) -> None:  # noqa: ARG002
        height, width = self.attributes["grid"]
        self.grid: tuple[int, int] = (height, width)
        self.patch: int = self.attributes["patch"]
        self.downscale: float = self.attributes["downscale"]
