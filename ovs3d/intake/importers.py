"""What a user's folder or file is, and what of it becomes the scene."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from ovs3d.errors import SceneError
from ovs3d.intake import importers_llff
from ovs3d.intake.importers_colmap import model_folders, read_colmap
from ovs3d.intake.importers_llff import read_llff
from ovs3d.intake.importers_transforms import read_transforms, transforms_files
from ovs3d.intake.photo_files import SUFFIXES, list_photos
from ovs3d.intake.video import VIDEO_SUFFIXES
from ovs3d.photos.labels import LABELS_FILE
from ovs3d.poses.given_poses import GivenPoses, fit_to_photos
from ovs3d.poses.undistort import Undistortion

Format = Literal["photos", "video", "3d-ovs", "llff", "nerfstudio", "instant-ngp", "lerf", "colmap"]
FORMATS: tuple[Format, ...] = get_args(Format)
"""`nerfstudio`, `instant-ngp` and `lerf` are the same file, `transforms.json`."""

_IMAGES = ("images", "input", "images_2", "images_4", "images_8", "rgb", "photos")


@dataclass(frozen=True, eq=False)
class Source:
    """What was found.

    Attributes:
        format: what it is.
        root: the user's folder or video.
        photos: photos to bring, sorted; none for a video.
        given: their poses, fit to the photos, if the source has them.
        rewrite: photos to write anew, as `fit_to_photos` returned them.
        segmentations: folder of labels and masks in the layout of the 3D-OVS dataset.
    """

    format: Format
    root: Path
    photos: tuple[Path, ...]
    given: GivenPoses | None = None
    rewrite: Mapping[Path, Undistortion | None] = field(default_factory=dict)
    segmentations: Path | None = None


def open_source(root: Path, format_: Format | None) -> Source:
    """Look at what the user brings and read its poses.

    Args:
        root: folder, video or `transforms.json`.
        format_: what it is said to be; None to find out.

    Raises:
        PosesError: its poses cannot be used.
        SceneError: it is none of the formats, or not the one it is said to be.
    """
    if not root.exists():
        raise SceneError(f"{root}: no such file or folder")
    found = format_ or _detect(root)
    if found == "video":
        return Source(found, root, ())
    segmentations = _segmentations(root, found)
    given = _read_poses(root, found)
    if given is None:
        photos = tuple(list_photos(_images(root)))
        return Source(found, root, photos, segmentations=segmentations)
    other = sorted(path for path in given.photos.values() if path.suffix.lower() not in SUFFIXES)
    if other:
        raise SceneError(
            f"{other[0]}: {len(other)} posed photos are of another type than {' '.join(SUFFIXES)}; "
            f"convert them, and rename them in {given.origin}"
        )
    rewrite = fit_to_photos(given)
    if segmentations and given.without_pose:
        raise SceneError(
            f"{segmentations}: masks count all photos, but {len(given.without_pose)} photos have "
            f"no pose in {given.origin} and stay out; give them poses, or take the masks away"
        )
    photos = tuple(sorted(given.photos.values()))
    return Source(found, root, photos, given, rewrite, segmentations)


def _read_poses(root: Path, format_: Format) -> GivenPoses | None:
    match format_:
        case "3d-ovs" | "llff":
            return read_llff(root / importers_llff.FILE, list_photos(_images(root)))
        case "nerfstudio" | "instant-ngp" | "lerf":
            return read_transforms(root)
        case "colmap":
            return read_colmap(root)
        case _:
            return None


def _detect(root: Path) -> Format:
    """Choose the format that tells most: distortion and points are worth more than bounds."""
    if root.is_file():
        if root.suffix.lower() == ".json":
            return "nerfstudio"
        if root.suffix.lower() not in VIDEO_SUFFIXES:
            raise SceneError(f"{root}: no video; expected {' '.join(VIDEO_SUFFIXES)}, or a folder")
        return "video"
    if transforms_files(root)[0].is_file():
        return "nerfstudio"
    if model_folders(root):
        return "colmap"
    if (root / importers_llff.FILE).is_file():
        return "3d-ovs" if (root / "segmentations" / LABELS_FILE).is_file() else "llff"
    return "photos"


def _images(root: Path) -> Path:
    """Return where the photos of a folder are: if they come in several sizes, the largest."""
    return next((root / name for name in _IMAGES if (root / name).is_dir()), root)


def _segmentations(root: Path, format_: Format) -> Path | None:
    folder = root / "segmentations"
    if (folder / LABELS_FILE).is_file():
        return folder
    if format_ == "3d-ovs":
        raise SceneError(f"{folder / LABELS_FILE}: no such file; the 3D-OVS dataset has one")
    return None
