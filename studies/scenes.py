"""Scenes to measure on: a suite with its split, or a folder of scenes with masks."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ovs3d.errors import SceneError

SUITE_FILE = "suite.json"


@dataclass(frozen=True)
class Scene:
    """A scene in the layout of `data/raw/<scene>`, and which of its masked views serve for what.

    Attributes:
        name: of the scene.
        folder: holds `images/`, `segmentations/` and, for some rows, `truth/`.
        val_views: masked views to choose by.
        test_views: masked views to report on.
        settings: dotted keys of the parameters and the values that this scene needs.
    """

    name: str
    folder: Path
    val_views: tuple[int, ...]
    test_views: tuple[int, ...]
    settings: tuple[tuple[str, Any], ...] = ()

    @property
    def images(self) -> Path:
        """Folder of the photos."""
        return self.folder / "images"

    @property
    def segmentations(self) -> Path:
        """Folder of the labels and masks."""
        return self.folder / "segmentations"

    @property
    def classes(self) -> Path:
        """File with the labels."""
        return self.segmentations / "classes.txt"

    @property
    def held_out(self) -> tuple[int, ...]:
        """Views that no training sees: all that have masks."""
        return tuple(sorted({*self.val_views, *self.test_views}))

    def label_map(self, view: int) -> NDArray[np.uint8]:
        """Return the true label map [H, W] of a view: place among the labels, from 1.

        Raises:
            SceneError: the scene comes without it.
        """
        file = self.folder / "truth" / "labels" / f"{view:03d}.png"
        if not file.is_file():
            raise SceneError(f"{file}: no such file; this row needs the true label maps")
        with Image.open(file) as image:
            return np.asarray(image)

    def scored(self, views: str) -> tuple[int, ...]:
        """Return the views to score.

        Args:
            views: `val` or `test`.

        Raises:
            SceneError: the scene has none of this kind.
        """
        found = self.val_views if views == "val" else self.test_views
        if not found:
            raise SceneError(f"{self.folder}: has no {views} views")
        return found


def load_scenes(folder: Path, split: str, only: Collection[str] | None = None) -> list[Scene]:
    """Find the scenes of a folder.

    Args:
        folder: with a `suite.json`, or with scenes all of whose masked views are test views.
        split: `dev`, `test` or `all`; a folder without `suite.json` knows no split.
        only: names of the scenes that are wanted; None: all.

    Raises:
        SceneError: there is none, or the suite names views that have no masks.
    """
    file = folder / SUITE_FILE
    if file.is_file():
        scenes = [
            _of_suite(folder, name, entry)
            for name, entry in _read(file, split).items()
            if only is None or name in only
        ]
    else:
        found = sorted(path.parent for path in folder.glob("*/segmentations"))
        scenes = [
            Scene(path.name, path, (), masked_views(path))
            for path in found
            if only is None or path.name in only
        ]
    if not scenes:
        raise SceneError(f"{folder}: no scenes of split {split} in it")
    return scenes


def _read(file: Path, split: str) -> dict[str, Mapping[str, Any]]:
    suite: dict[str, Mapping[str, Any]] = json.loads(file.read_text())
    return {name: entry for name, entry in suite.items() if split in ("all", entry["split"])}


def _of_suite(folder: Path, name: str, entry: Mapping[str, Any]) -> Scene:
    scene = Scene(name, folder / name, tuple(entry["val_views"]), tuple(entry["test_views"]))
    if scene.held_out != masked_views(scene.folder):
        raise SceneError(
            f"{folder / SUITE_FILE}: {name} has views {list(scene.held_out)}, but masks of "
            f"{list(masked_views(scene.folder))}"
        )
    return scene


def masked_views(folder: Path) -> tuple[int, ...]:
    """Return the views of a scene's folder that have masks."""
    names = (path.name for path in (folder / "segmentations").iterdir() if path.is_dir())
    return tuple(sorted(int(name) for name in names if name.isdecimal()))
