"""The Zarr store of window embeddings, as it is written.

Apart from `ovs3d.features.store`, which reads features of pixels in it, so that a change of how
pixels get their features does not embed all windows again.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import zarr
from numpy.typing import NDArray

from ovs3d.features.view_store import ViewStore
from ovs3d.features.zarr_arrays import create_results, open_array, write_array

_WINDOWS_PER_CHUNK = 512


class WindowStore(ViewStore):
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
    def resume(cls, path: Path, attributes: Mapping[str, Any], boxes: NDArray[np.int16]) -> Self:
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
            write_array(group, "boxes", boxes, boxes.shape, ("view", "window", "side"))

        return cls._resume(path, attributes, build)

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
