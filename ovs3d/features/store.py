"""The Zarr stores of window embeddings and DINO tokens."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import zarr
from numpy.typing import NDArray
from torch import Tensor

from ovs3d.device import to_device
from ovs3d.errors import StoreError
from ovs3d.features.view_store import CHUNK_NAMES, ViewStore, codecs, create_results, open_array
from ovs3d.features.window_features import WindowFeatures
from ovs3d.features.windows import lattice
from ovs3d.spill import Spill

_WINDOWS_PER_CHUNK = 512
_TOKENS_PER_TILE = 16


class FeatureStore(ViewStore):
    """`clip.zarr`: the windows of all scales of every view, and their CLIP embeddings.

    Arrays: `embeddings` [views, M, D] float16 unit vectors; `boxes` [views, M, 4] int16 left,
    upper, right, lower in working-image pixels. M runs over the windows of the first scale, then
    the second, ...; the attribute `windows_per_scale` says where one ends.

    Attributes:
        views: photo indices with features.
        width: of the working image, in pixels.
        height: of the working image, in pixels.
        downscale: photo pixels per working pixel.
        scales: N_s.
        dim: D.
        encoder_digest: of the CLIP model that made the embeddings.
        fingerprint: of everything that the store was made from.
    """

    _STAGE = "clip_features"
    _ARRAY = "embeddings"

    @classmethod
    def resume(
        cls, path: Path, attributes: Mapping[str, Any], boxes: NDArray[np.int16]
    ) -> "FeatureStore":
        """Continue the store at `path`, or start it over if it was made from something else.

        Args:
            path: of the group.
            attributes: JSON values: `views`, `dim`, `encoder_digest`, `size` (width and height
                of the working image), `downscale`, `window_divisors`, `strides_per_window`,
                `windows_per_scale`, and whatever else the embeddings depend on.
            boxes: [views, M, 4].
        """

        def build(group: zarr.Group) -> None:
            views, windows, _ = boxes.shape
            create_results(
                group, cls._ARRAY, (views, windows, attributes["dim"]), (_WINDOWS_PER_CHUNK,)
            )
            group.create_array(
                "boxes",
                data=boxes,
                chunks=boxes.shape,
                compressors=codecs(boxes.dtype),
                chunk_key_encoding=CHUNK_NAMES,
                dimension_names=("view", "window", "side"),
            )

        return cls._resume(path, attributes, build)

    def made_by(self, encoder_digest: str) -> Self:
        """Return the store itself, unless its embeddings cannot be compared with a model's texts.

        Args:
            encoder_digest: of the model.

        Raises:
            StoreError: another model made the embeddings.
        """
        if encoder_digest != self.encoder_digest:
            raise StoreError(
                f"{self.path}: made by another CLIP model; run stage {self._STAGE} again"
            )
        return self

    def load(
        self,
        views: Sequence[int],
        device: torch.device,
        spill: Spill | None = None,
        sigma: float | None = None,
    ) -> WindowFeatures:
        """Bring the windows of some views into memory for `WindowFeatures.gather`.

        Args:
            views: photo indices.
            device: where features are gathered.
            spill: takes the embeddings; without one they go to `device`, all of them.
            sigma: weights windows by the distance of their centres, see `WindowFeatures`.

        Raises:
            StoreError: a view is not in the store or cannot be read.
        """
        rows = [self._row(view) for view in views]
        spill = spill or Spill(device, math.inf, self.path.parent)
        (embeddings,) = spill.collect((torch.from_numpy(self._read(view))[None],) for view in views)
        lattices = [
            lattice(self.width, self.height, divisor, self._strides) for divisor in self._divisors
        ]
        return WindowFeatures(
            views,
            (self.width, self.height),
            lattices,
            embeddings,
            to_device(torch.from_numpy(self._boxes[rows]), device),
            sigma,
        )

    def cells(self, xy: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows and columns of the working image, int64 [N], that photo points [N, 2] lie in.

        Points beyond the last whole working pixel belong to it.
        """
        columns, rows = (xy / self.downscale).long().unbind(dim=1)
        return rows.clamp(max=self.height - 1), columns.clamp(max=self.width - 1)

    def embeddings(self, view: int) -> NDArray[np.float16]:
        """Return the embeddings of the windows of one view as [M, D].

        Raises:
            StoreError: the view is not in the store or cannot be read.
        """
        return self._read(view)

    def pixels(self, view: int, ys: Tensor, xs: Tensor) -> Tensor:
        """Return the features of pixels of one view, for callers that need a few.

        Args:
            view: photo index.
            ys, xs: [N] int64 rows and columns of the working image.

        Returns:
            [N, N_s, D] float32: means of the windows that cover a pixel, not normalised.
        """
        return self.load([view], ys.device).gather(torch.full_like(ys, view), ys, xs)

    def _read_attributes(self, group: zarr.Group) -> None:
        self.width, self.height = self.attributes["size"]
        self.downscale: int = self.attributes["downscale"]
        self._divisors: list[float] = self.attributes["window_divisors"]
        self._strides: float = self.attributes["strides_per_window"]
        self.scales = len(self._divisors)
        try:
            self._boxes: NDArray[np.int16] = np.asarray(open_array(group, "boxes")[:])
        except RuntimeError as error:
            raise ValueError(f"boxes: {error}") from None


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
