"""A scene as far as it is built, opened for looking at."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from ovs3d.distill.model import load_segmentation
from ovs3d.errors import Ovs3dError, StoreError, did_you_mean, one_line
from ovs3d.field.checkpoint import load_field
from ovs3d.files import digest
from ovs3d.params import load_scene_params, scene_names
from ovs3d.photos.dataset import Photos, open_photos
from ovs3d.project import PARAMS_FILE, RAW_FOLDER, built
from ovs3d.space.cameras import Cameras, load_cameras
from ovs3d.viewer.jobs import Stopped
from ovs3d.viewer.paint import Layer, Pieces
from ovs3d.viewer.splats import Splats, bake_all, keep, kept, preview
from ovs3d.viewer.surface import Source

if TYPE_CHECKING:
    from ovs3d.language.volume import LanguageVolume

_DEVICE = torch.device("cpu")

Read = TypeVar("Read")


def view_folder(scene: str) -> Path:
    """Return where the viewer keeps its splats and writes what is exported."""
    return Path("data/view") / scene


@dataclass(frozen=True, eq=False)
class Surface:
    """N splats, and the same as what is painted; replaced as a whole."""

    splats: Splats
    pieces: Pieces


class OpenScene:
    """What there is of a scene, the same for all who look at it.

    Attributes:
        name: a key of `scenes` in params.yaml.
        render: section of params.yaml; videos take their frames per second from it.
        cameras: of the photos that have a pose.
        photos: None if they are not there.
        source: the field; None as long as there is none.
        volume: what texts are asked of; None before stage lift, and until `prepare` has read it.
        surface: as a few views see it at first, as all do when that is baked.
        missing: one line for each thing that is not there, and what to do about it.
        exported: whether the files of `ovs3d export` were written of what is open here.
        baking: share of the work of baking that is done, in [0, 1].
        lock: held by whoever computes with the field, so that they take turns.
    """

    def __init__(self, name: str) -> None:
        """Open a scene.

        Raises:
            StoreError: there is no such scene, or it has no cameras yet.
        """
        scenes = scene_names(PARAMS_FILE)
        if name not in scenes:
            raise StoreError(f"no scene '{name}' in {PARAMS_FILE}{did_you_mean(name, scenes)}")
        self.name = name
        self.render = load_scene_params(PARAMS_FILE, name).stages.render
        self.missing: list[str] = []
        self.lock = Lock()
        self._listeners: list[Callable[[], None]] = []
        self._closed = Event()
        self._thread: Thread | None = None
        poses = built("poses", name, "cameras.json")
        self._made_from = [digest(poses)]
        self.cameras: Cameras = load_cameras(poses)
        self.photos: Photos | None = self._try(partial(open_photos, RAW_FOLDER / name / "images"))
        self.source = self._try(self._segmented) or self._try(self._plain)
        self.exported = False
        self.volume: LanguageVolume | None = None
        complete = kept(self._file, self._made_from) if self.source else self._try(self._sparse)
        self.baking = 0.0 if complete is None and self.source else 1.0
        self._show(complete or self._first())

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels; none before distillation."""
        return self.source.labels if self.source else ()

    @property
    def layers(self) -> list[Layer]:
        """What can be shown."""
        labels: list[Layer] = ["labels"] if self.labels else []
        relevancy: list[Layer] = ["relevancy"] if self.volume else []
        return ["colours", *labels, "depth", *relevancy]

    def prepare(self) -> Thread:
        """Read what a first picture does not need, and bake; in a thread, which is returned."""
        self._thread = Thread(target=self._prepare, daemon=True)
        self._thread.start()
        return self._thread

    def close(self) -> None:
        """End baking at its next view, and wait for that: a process that ends meanwhile aborts."""
        self._closed.set()
        if self._thread:
            self._thread.join()

    def on_change(self, call: Callable[[], None]) -> Callable[[], None]:
        """Have something called whenever there is more to see; returns what ends that."""
        self._listeners.append(call)
        return lambda: self._listeners.remove(call)

    def rows(self, positions: Tensor) -> NDArray[np.int64]:
        """Return which point of the volume stands for world positions [K, 3]; -1 for none."""
        if self.volume is None or self.source is None:
            return np.full(len(positions), -1, dtype=np.int64)
        return self.volume.rows(self.source.field.space.from_world(positions)).numpy()

    def _prepare(self) -> None:
        if self.source is None:
            return
        self.volume = self._try(self._lifted)
        self._show(self.surface.splats)
        self._tell()
        if self.baking < 1:
            with suppress(Stopped):
                self._bake(self.source)

    def _bake(self, source: Source) -> None:
        done = 0

        def advance() -> None:
            nonlocal done
            if self._closed.is_set():
                raise Stopped
            done += 1
            self.baking = done / (len(self.cameras) + 1)
            self._tell()

        splats = bake_all(source, self.cameras, self.lock, advance)
        self._show(splats)
        self.baking = 1.0
        self._try(partial(self._keep, splats))
        self._tell()

    def _keep(self, splats: Splats) -> None:
        try:
            keep(self._file, self._made_from, splats)
        except (OSError, SafetensorError) as error:
            reason = one_line(error)
            raise StoreError(f"{self._file}: not kept for the next time ({reason})") from None

    def _show(self, splats: Splats) -> None:
        rows = self.rows(torch.from_numpy(splats.positions))
        self.surface = Surface(splats, Pieces(splats.colors, splats.labels, rows))

    def _tell(self) -> None:
        for call in list(self._listeners):
            # Whoever listened may be gone by now.
            with suppress(Exception):
                call()

    @property
    def _file(self) -> Path:
        return view_folder(self.name) / "splats.safetensors"

    def _first(self) -> Splats:
        return preview(self.source, self.cameras) if self.source else Splats.none()

    def _segmented(self) -> Source:
        path = built("distill", self.name, "segmentation.safetensors")
        segmentation = load_segmentation(path, _DEVICE)
        self._made_from.append(digest(path))
        return Source(segmentation.field, segmentation)

    def _plain(self) -> Source:
        path = built("reconstruct", self.name, "field.safetensors")
        field = load_field(path, _DEVICE)
        self._made_from.append(digest(path))
        return Source(field, None)

    def _lifted(self) -> "LanguageVolume":
        folder = built("lift", self.name, "language.zarr").parent
        # Takes seconds, all libraries of CLIP being behind it.
        from ovs3d.language.volume import LanguageVolume

        volume = LanguageVolume.open(folder)
        volume.encoder  # noqa: B018 - loaded now, not when a user waits for an answer
        return volume

    def _sparse(self) -> Splats:
        # COLMAP's library takes a second, and most scenes have a field.
        from ovs3d.viewer.sparse import sparse_splats

        return sparse_splats(built("poses", self.name, "sfm").parent, self.cameras)

    def _try(self, read: Callable[[], Read]) -> Read | None:
        try:
            return read()
        except Ovs3dError as error:
            self.missing.append(str(error))
            return None
