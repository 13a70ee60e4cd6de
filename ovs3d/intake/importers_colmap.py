"""COLMAP models, text or binary, old or with rigs, in the folders where tools leave them."""

import shutil
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

import pycolmap

from ovs3d.errors import PosesError
from ovs3d.intake.photo_files import register_heic
from ovs3d.intake.photo_finder import find_photos, photos_beside
from ovs3d.photos.dataset import visible
from ovs3d.poses.colmap_model import read_model, rebuild
from ovs3d.poses.given_poses import GivenPoses, name_some

# Where tools leave models, below the folder of a scene; the first that holds any counts.
_PLACES = (
    *("sparse", "colmap/sparse", "colmap", "sparse_txt", "colmap_text", "text", "model", "sfm"),
    *("undistorted/sparse", "dense/sparse", "dense", "distorted/sparse", "distorted", "."),
)
_DEEPER = 3
"""Levels of folders that are looked through below such a place."""
_SUFFIXES = (".bin", ".txt")
_PARTS = ("cameras", "images", "points3D", "rigs", "frames")


def model_folders(root: Path) -> list[Path]:
    """List the models below a folder: those in the first place that has any, or its parts."""
    for place in _PLACES:
        if models := _models(root / place):
            return models
    return []


def read_colmap(root: Path) -> GivenPoses:
    """Read the largest model below a folder, and find its photos.

    Images whose photo is not there stay out.

    Raises:
        PosesError: there is no model, it cannot be read, or none of its photos is there.
    """
    folders = model_folders(root)
    if not folders:
        raise PosesError(
            f"{root}: no COLMAP model in it; expected cameras and images (.bin or .txt)"
        )
    models = {folder: _read(folder) for folder in folders}
    folder = max(models, key=lambda path: _size(models[path]))
    model = models[folder]
    if not model.num_reg_images():
        raise PosesError(f"{folder}: a COLMAP model without images")
    names = [model.image(image_id).name for image_id in model.reg_image_ids()]
    photos = find_photos(root, names, nearby=folder)
    lost = tuple(sorted(name for name in names if name not in photos))
    if not photos:
        raise PosesError(f"{folder}: poses without a photo below {root}: {name_some(lost)}")
    register_heic(photos.values())
    model = _only(model, photos)
    return GivenPoses(folder, model, photos, photos_beside(photos), without_photo=lost)


def _only(model: pycolmap.Reconstruction, names: Collection[str]) -> pycolmap.Reconstruction:
    """Take the poses of other images away."""
    images = [model.image(image_id) for image_id in model.reg_image_ids()]
    kept = [image for image in images if image.name in names]
    lost = {image.frame_id for image in images if image.name not in names}
    # The images of a rig have one pose.
    if any(image.frame_id in lost for image in kept):
        return rebuild(kept)
    for frame_id in lost:
        model.deregister_frame(frame_id)
    return model


def _models(place: Path, deeper: int = _DEEPER) -> list[Path]:
    """List the models of a folder and of those below it."""
    if not place.is_dir():
        return []
    parts = [path for path in visible(place) if path.is_dir()]
    here = [path for path in (place, *parts) if _is_model(path)]
    if here or not deeper:
        return here
    return next((models for part in parts if (models := _models(part, deeper - 1))), [])


def _is_model(folder: Path) -> bool:
    """Tell whether a folder holds a model.

    Raises:
        PosesError: it holds the part of a model that is of no use without cameras.
    """
    if any(_has(folder, suffix, "cameras", "images") for suffix in _SUFFIXES):
        return True
    for suffix in _SUFFIXES:
        if _has(folder, suffix, "images", "points3D"):
            raise PosesError(
                f"{folder}: a COLMAP model without cameras{suffix}, which says how its lenses see; "
                "copy that file as well, or take the model away to let COLMAP find poses anew"
            )
    return False


def _has(folder: Path, suffix: str, *parts: str) -> bool:
    return all((folder / f"{part}{suffix}").is_file() for part in parts)


def _read(folder: Path) -> pycolmap.Reconstruction:
    """Read a model; what other tools leave out of its files is put back in a copy."""
    binary = _has(folder, ".bin", "cameras", "images")
    suffix = ".bin" if binary else ".txt"
    if binary and (folder / "points3D.bin").is_file():
        return read_model(folder)
    with tempfile.TemporaryDirectory(prefix="ovs3d-model-") as scratch:
        for path in sorted(folder.glob(f"*{suffix}")):
            if binary:
                shutil.copyfile(path, Path(scratch, path.name))
            elif path.stem in _PARTS:
                text = _text(path)
                text = _with_second_lines(text) if path.stem == "images" else text
                Path(scratch, path.name).write_text(text, encoding="utf-8")
        if not _has(folder, suffix, "points3D"):
            empty = bytes(8) if binary else b""
            Path(scratch, f"points3D{suffix}").write_bytes(empty)
        try:
            return read_model(Path(scratch))
        except PosesError as error:
            raise PosesError(str(error).replace(scratch, str(folder))) from None


def _text(path: Path) -> str:
    """Return the text of a file as COLMAP reads it: no byte order mark, no other line ends."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PosesError(f"{path}: cannot be read as text ({error})") from None
    return "".join(f"{line.strip()}\n" for line in text.splitlines())


def _with_second_lines(text: str) -> str:
    """Put back the line of points behind an image where it was left out because it is empty."""
    result: list[str] = []
    expected = False
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        of_image = _is_image(line)
        if of_image and expected:
            result.append("")
        if of_image or expected or line:
            result.append(line)
        expected = of_image
    return "".join(f"{line}\n" for line in [*result, *[""] * expected])


def _is_image(line: str) -> bool:
    """Tell whether a line of `images.txt` is about an image, not about the points in it."""
    words = line.split(maxsplit=9)
    if len(words) < 10 or not (_is_number(words[0], int) and _is_number(words[8], int)):
        return False
    # A line of points has three numbers for each.
    whole = line.split()
    return not (len(whole) % 3 == 0 and all(_is_number(word, float) for word in whole))


def _is_number(word: str, kind: Callable[[str], object]) -> bool:
    try:
        kind(word)
    except ValueError:
        return False
    return True


def _size(model: pycolmap.Reconstruction) -> tuple[int, int]:
    return model.num_reg_images(), model.num_points3D()
