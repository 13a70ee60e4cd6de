"""What a user's folder or file is, and what of it becomes the scene."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ovs3d.errors import SceneError
from ovs3d.scene.intake import list_photos
from ovs3d.scene.video import VIDEO_SUFFIXES

Format = Literal["photos", "video"]
FORMATS: tuple[Format, ...] = ("photos", "video")
LABELS_FILE = "classes.txt"


@dataclass(frozen=True, eq=False)
class Source:
    """What was found.

    Attributes:
        format: what it is.
        root: the user's folder or video.
        photos: photos to bring, sorted; none for a video.
        segmentations: folder of labels and masks in the layout of the 3D-OVS dataset.
    """

    format: Format
    root: Path
    photos: tuple[Path, ...]
    segmentations: Path | None


def open_source(root: Path, format_: Format | None) -> Source:
    """Look at what the user brings.

    Args:
        root: folder or video.
        format_: what it is said to be; None to find out.

    Raises:
        SceneError: it is none of the formats, or not the one it is said to be.
    """
    if not root.exists():
        raise SceneError(f"{root}: no such file or folder")
    found = format_ or _detect(root)
    if found == "video":
        return Source(found, root, (), None)
    images = root / "images" if (root / "images").is_dir() else root
    segmentations = root / "segmentations"
    return Source(
        found,
        root,
        tuple(list_photos(images)),
        segmentations if (segmentations / LABELS_FILE).is_file() else None,
    )


def _detect(root: Path) -> Format:
    if root.is_file():
        if root.suffix.lower() not in VIDEO_SUFFIXES:
            raise SceneError(f"{root}: no video; expected {' '.join(VIDEO_SUFFIXES)}, or a folder")
        return "video"
    return "photos"
