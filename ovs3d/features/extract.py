"""What both feature extractions share: what they are made of, how they run here, the report."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import torch

from ovs3d.device import encoder_workers
from ovs3d.errors import ParamsError
from ovs3d.features.params import EncoderParams
from ovs3d.features.pipeline import Part, fill
from ovs3d.features.view_store import ViewStore
from ovs3d.photos.dataset import Photos
from ovs3d.progress import progress

_FLOAT32_BYTES = 4


@dataclass(frozen=True)
class Extraction:
    """A loaded encoder, and what it makes of the photos of a scene.

    Attributes:
        attributes: of the store: all that its content follows from.
        resume: continues or starts the store at a path.
        load: decodes the photo of a view and returns calls that each encode one part of it.
    """

    attributes: Mapping[str, Any]
    resume: Callable[[Path], ViewStore]
    load: Callable[[int], list[Part]]


@dataclass(frozen=True)
class Work(ABC):
    """What is to be extracted: all that a machine needs to know, and small enough to be sent."""

    photos: Photos
    params: EncoderParams

    title: ClassVar[str]
    """What the progress bar counts."""

    @abstractmethod
    def prepare(self, device: torch.device) -> Extraction:
        """Load the encoder and find out everything that the features depend on.

        Raises:
            WeightsError: the model cannot be loaded.
        """

    @abstractmethod
    def open(self, out: Path) -> ViewStore:
        """Open the store at a path, complete or not.

        Raises:
            StoreError: there is none, or it is not of this kind.
        """


@dataclass(frozen=True)
class Filled:
    """A finished store, how many views it had before, and the seconds that the others took."""

    store: ViewStore
    resumed: int
    seconds: float


@dataclass(frozen=True)
class ExtractReport:
    """What an extraction did.

    Attributes:
        views: photos with features.
        resumed: how many of them were in the store already.
        items: windows or tokens per view.
        dim: length of an embedding or token.
        seconds: of this run, after the model was loaded.
        precision: that the encoder computed in.
        store_bytes: size of the store.
        dense_bytes: size of the same features as one float32 vector per pixel (and scale).
    """

    views: int
    resumed: int
    items: int
    dim: int
    seconds: float
    precision: str
    store_bytes: int
    dense_bytes: int

    @classmethod
    def of(cls, filled: Filled, pixels: int) -> "ExtractReport":
        """Report on a store; `pixels` are those of a view, over all scales."""
        store = filled.store
        return cls(
            views=len(store.views),
            resumed=filled.resumed,
            items=store.items,
            dim=store.dim,
            seconds=filled.seconds,
            precision=store.attributes["precision"],
            store_bytes=store.bytes_on_disk(),
            dense_bytes=len(store.views) * pixels * store.dim * _FLOAT32_BYTES,
        )

    def rows(self) -> dict[str, object]:
        """Return a table of the report for `summary_table`."""
        return {
            "views": f"{self.views} ({self.resumed} from an earlier run)",
            "per view": f"{self.items} x {self.dim}",
            "seconds": self.seconds,
            "precision": self.precision,
            "store": f"{self.store_bytes / 1e6:.1f} MB",
            "dense float32": f"{self.dense_bytes / 1e6:.1f} MB, "
            f"{self.dense_bytes / self.store_bytes:.0f} times as much",
        }


def made_with(
    code: str, device: torch.device, precision: torch.dtype, *packages: str
) -> dict[str, Any]:
    """Return attributes of a store that every result depends on, whatever the stage.

    DVC reruns a stage whose code changed, but keeps the store, which must then not be continued
    with results of the old code in it; no more after an upgrade or on another kind of device.

    Args:
        code: digest of the code that makes the results.
        device: where the encoder runs.
        precision: that it computes in.
        packages: names, as they are imported, of those whose versions matter.
    """
    versions = {name: str(import_module(name).__version__) for name in packages}
    return {
        "code": code,
        "device": device.type,
        "precision": str(precision).removeprefix("torch."),
        "versions": versions,
    }


def shrunk_size(photos: Photos, downscale: float, least: int, section: str) -> tuple[int, int]:
    """Return width and height of the photos at `downscale`, refusing less than `least` pixels."""
    width, height = int(photos.width / downscale), int(photos.height / downscale)
    if min(width, height) < least:
        raise ParamsError(
            f"{section}.downscale: {downscale} leaves {width} x {height} pixels of photos of "
            f"{photos.width} x {photos.height}; at least {least} are needed"
        )
    return width, height


def extract_here(work: Work, device: torch.device, out: Path) -> Filled:
    """Make the missing views of a store in this process.

    Args:
        work: what is to be extracted.
        device: where the encoder runs.
        out: the store.

    Raises:
        WeightsError: the model cannot be loaded.
        SceneError: a photo cannot be decoded.
    """
    extraction = work.prepare(device)
    started = time.perf_counter()
    store = extraction.resume(out)
    missing = store.missing()
    with (
        progress(work.title, len(missing) * store.items, work.title.split()[-1]) as advance,
        encoder_workers(device) as workers,
    ):
        for view, part in fill(store, missing, extraction.load, workers):
            advance(part.numel() // store.dim, note=work.photos.names[view])
    store.finish()
    return Filled(store, len(store.views) - len(missing), time.perf_counter() - started)
