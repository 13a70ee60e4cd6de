"""Bringing a user's photos into a scene's folder, byte for byte where every tool can read them."""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from PIL import Image, ImageOps

from ovs3d.errors import SceneError, one_line
from ovs3d.progress import progress
from ovs3d.scene.dataset import (
    DECODE_ERRORS,
    PHOTO_SUFFIXES,
    eight_bits,
    same_shape,
    unreadable,
)
from ovs3d.scene.sharpness import look_at_photo
from ovs3d.scene.undistort import Undistortion

HEIC_SUFFIXES = (".heic", ".heif")
"""Pillow needs an extra for these, COLMAP cannot read them: they become JPEG."""
SUFFIXES = (*PHOTO_SUFFIXES, *HEIC_SUFFIXES)
"""What can become a photo of a scene."""

_JPEG_QUALITY = 95


def list_photos(folder: Path) -> list[Path]:
    """List the photos of a folder by name; hidden files and other file types are passed over.

    Raises:
        SceneError: the folder is missing or holds no photo, or HEIC photos cannot be read here.
    """
    if not folder.is_dir():
        raise SceneError(f"{folder}: no such folder")
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    photos = [path for path in files if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not photos:
        raise SceneError(f"{folder}: no photos in it; expected {' '.join(SUFFIXES)} files")
    register_heic(photos)
    return photos


def photo_names(photos: Iterable[Path]) -> dict[Path, str]:
    """Choose the file names that photos get in the scene.

    Where their own names are not unique, the folders that tell them apart become part of the name.

    Raises:
        SceneError: two photos would get one name.
    """
    paths = list(photos)
    names = {path: path.name for path in paths}
    if len(set(names.values())) < len(paths):
        common = os.path.commonpath(paths)
        names = {path: "_".join(path.relative_to(common).parts) for path in paths}
    for path, name in names.items():
        if path.suffix.lower() in HEIC_SUFFIXES:
            names[path] = Path(name).with_suffix(".jpg").name
    owners: dict[str, Path] = {}
    for path, name in names.items():
        other = owners.setdefault(name.casefold(), path)
        if other != path:
            raise SceneError(f"{path}: would become {name}, as {other.name} would; remove one")
    return names


def bring_photos(
    names: Mapping[Path, str],
    images: Path,
    link: bool,
    rewrite: Mapping[Path, Undistortion | None],
) -> None:
    """Copy photos into a folder, HEIC as JPEG, and check that each can be decoded.

    Args:
        names: photo -> file name to give it.
        images: the folder to make.
        link: make hard links instead of copies.
        rewrite: photos to write anew as they are stored, some of them undistorted.

    Raises:
        SceneError: a photo is broken, or cannot be linked.
    """
    images.mkdir(parents=True)
    with progress("photos", len(names), "photos") as advance:
        for path, name in names.items():
            if path in rewrite:
                _rewrite(path, images / name, rewrite[path])
            elif path.suffix.lower() in HEIC_SUFFIXES:
                _convert(path, images / name)
            else:
                look_at_photo(path)
                _copy(path, images / name, link)
            advance()


def register_heic(photos: Iterable[Path]) -> None:
    """Teach Pillow to open HEIC if a photo needs it.

    Raises:
        SceneError: the extra is not installed.
    """
    if not any(photo.suffix.lower() in HEIC_SUFFIXES for photo in photos):
        return
    try:
        import pillow_heif  # Optional, and slow to import.
    except ImportError:
        raise SceneError("HEIC photos need pillow-heif: pip install 'ovs3d[heic]'") from None
    pillow_heif.register_heif_opener()


def undistort_masks(folder: Path, change: Undistortion) -> None:
    """Redraw the masks of a view as its photo was redrawn.

    Raises:
        SceneError: a mask cannot be decoded, or is of another shape than the photo.
    """
    size = (change.lens.width, change.lens.height)
    for path in sorted(folder.glob("*.png")):
        try:
            with Image.open(path) as file:
                mask = file.convert("L")
        except DECODE_ERRORS as error:
            raise unreadable(path, error) from None
        if not same_shape(mask.size, size):
            raise SceneError(f"{path}: a mask has the aspect ratio of its photo")
        change.redraw(mask.resize(size, Image.Resampling.NEAREST)).save(path)


def _convert(path: Path, target: Path) -> None:
    try:
        with Image.open(path) as file:
            photo = ImageOps.exif_transpose(file).convert("RGB")
            # The EXIF holds the focal length, from which COLMAP starts.
            exif = photo.getexif()
    # libheif's errors come as several types, ValueError and EOFError among them.
    except Exception as error:
        reason = one_line(error)
        raise SceneError(f"{path}: cannot be read as HEIC ({reason})") from None
    photo.save(target, quality=_JPEG_QUALITY, subsampling=0, exif=exif)


def _rewrite(path: Path, target: Path, change: Undistortion | None) -> None:
    try:
        with Image.open(path) as file:
            photo = eight_bits(file).convert("RGB")
    except DECODE_ERRORS as error:
        raise unreadable(path, error) from None
    redrawn = photo if change is None else change.redraw(photo)
    # Without EXIF: its tag would turn the photo, and its focal length may be wrong by now.
    redrawn.save(target, quality=_JPEG_QUALITY, subsampling=0, exif=b"")


def _copy(path: Path, target: Path, link: bool) -> None:
    if not link:
        shutil.copyfile(path, target)
        return
    try:
        os.link(path.resolve(), target)
    except OSError as error:
        raise SceneError(f"{path}: cannot be linked ({error.strerror}); leave out --link") from None
