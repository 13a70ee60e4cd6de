"""What both feature extractions share: which photos, decoded ahead, and the report."""

import hashlib
import inspect
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from torch import Tensor

from ovs3d.errors import ParamsError
from ovs3d.scene.dataset import Photos, load_photo

FLOAT32_BYTES = 4


@dataclass(frozen=True)
class ExtractReport:
    """What an extraction did.

    Attributes:
        views: photos with features.
        resumed: how many of them were in the store already.
        items: windows or tokens per view.
        dim: length of an embedding or token.
        seconds: of this run, model loading included.
        store_bytes: size of the store.
        dense_bytes: size of the same features as one float32 vector per pixel (and scale).
    """

    views: int
    resumed: int
    items: int
    dim: int
    seconds: float
    store_bytes: int
    dense_bytes: int

    def rows(self) -> dict[str, object]:
        """Return a table of the report for `summary_table`."""
        return {
            "views": f"{self.views} ({self.resumed} from an earlier run)",
            "per view": f"{self.items} x {self.dim}",
            "seconds": self.seconds,
            "store": f"{self.store_bytes / 1e6:.1f} MB",
            "dense float32": f"{self.dense_bytes / 1e6:.1f} MB, "
            f"{self.dense_bytes / self.store_bytes:.0f} times as much",
        }


def code_digest(*modules: ModuleType) -> str:
    """Return the SHA-256 of the source of modules.

    It belongs into a store's fingerprint: DVC reruns a stage whose code changed, but keeps the
    store, which must then not be continued with results of the old code in it.
    """
    hasher = hashlib.sha256()
    for module in modules:
        hasher.update(inspect.getsource(module).encode())
    return hasher.hexdigest()


def shrunk_size(photos: Photos, downscale: float, least: int, section: str) -> tuple[int, int]:
    """Return width and height of the photos at `downscale`, refusing less than `least` pixels."""
    width, height = int(photos.width / downscale), int(photos.height / downscale)
    if min(width, height) < least:
        raise ParamsError(
            f"{section}.downscale: {downscale} leaves {width} x {height} pixels of photos of "
            f"{photos.width} x {photos.height}; at least {least} are needed"
        )
    return width, height


def decoded_ahead(paths: Sequence[Path], downscale: int) -> Iterator[Tensor]:
    """Yield the photos in order, each decoded while the one before it is worked on."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        ahead = [executor.submit(load_photo, path, downscale) for path in paths[:1]]
        for following in [*paths[1:], None]:
            if not ahead:
                return
            current = ahead.pop()
            if following is not None:
                ahead.append(executor.submit(load_photo, following, downscale))
            yield current.result()
