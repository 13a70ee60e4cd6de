"""Writes a scene and its cameras in the folder layout of the 3D-OVS data set."""

from pathlib import Path

import numpy as np
from PIL import Image

from tools.scenes.files import write_atomic, write_json, write_text
from tools.scenes.spec import SceneSpec, Shoot


def write_words(out: Path, shoot: Shoot) -> None:
    """Write the list of labels and the true cameras."""
    write_text(out / "segmentations" / "classes.txt", "\n".join(shoot.scene.labels) + "\n")
    write_json(out / "truth" / "cameras.json", [view.record() for view in shoot.views])


def write_masks(out: Path, index: int, scene: SceneSpec) -> None:
    """Split a label map into one mask per label."""
    numbers = np.asarray(Image.open(out / "truth" / "labels" / f"{index:03d}.png"))
    for number, label in enumerate(scene.labels, start=1):
        mask = Image.fromarray(np.where(numbers == number, 255, 0).astype(np.uint8))
        path = out / "segmentations" / f"{index:02d}" / f"{label}.png"
        write_atomic(path, mask.save)


def missing(folder: Path, suffix: str, wanted: list[int]) -> list[tuple[int, Path]]:
    """Return the wanted views that have no file in the folder yet, with their paths."""
    paths = [(index, folder / f"{index:03d}{suffix}") for index in wanted]
    return [(index, path) for index, path in paths if not path.exists()]
