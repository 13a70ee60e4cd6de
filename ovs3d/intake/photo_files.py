"""Which files of a folder are photos, by content, and what their headers say."""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from PIL import Image

from ovs3d.errors import SceneError
from ovs3d.intake.video import VIDEO_SUFFIXES
from ovs3d.photos.dataset import PHOTO_SUFFIXES, visible
from ovs3d.photos.picture_files import holds_heic, opened, sideways

SUFFIXES = (
    *PHOTO_SUFFIXES,
    *(".heic", ".heif", ".webp", ".tif", ".tiff", ".avif", ".bmp", ".jp2", ".jfif", ".jpe"),
)
"""What becomes a photo of a scene; a file of another name does if its content is a picture."""

_READ = ("JPEG", "MPO", "PNG", "WEBP", "TIFF", "HEIF", "AVIF", "BMP", "JPEG2000")
_RAW_SUFFIXES = (
    *(".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".sr2", ".orf", ".raf", ".rw2"),
    *(".pef", ".srw", ".3fr", ".iiq", ".raw"),
)
_DNG_VERSION = 50706
"""The TIFF tag that tells a DNG."""
# Parts of data sets, which are read elsewhere, and `.thm`, thumbnails of cameras: JPEG inside.
_NO_PHOTOS = (".json", ".npy", ".txt", ".bin", ".ply", ".db", ".ini", ".md", ".thm")
# Files and folders below a folder; somebody may name a whole disk.
_MOST_LOOKED_AT, _MOST_TOLD = 20_000, 5
# Sides of a pixel, one by the other: more is a slip in the file, less is as good as square.
_MOST_STRETCH, _LEAST_STRETCH = 4.0, 1.02


@dataclass(frozen=True)
class Header:
    """What a file says of itself before its pixels.

    Attributes:
        format: Pillow's name for it; empty if it has none.
        alpha: some pixels may be transparent.
        sideways: the EXIF tag turns it by a quarter.
        size: width and height of the pixels as they are stored.
        aspect: how many times as wide as high a stored pixel is shown.
    """

    format: str
    alpha: bool
    sideways: bool
    size: tuple[int, int]
    aspect: float


def list_photos(folder: Path) -> list[Path]:
    """List the photos of a folder by name; hidden files and whatever is no photo are passed over.

    Raises:
        SceneError: the folder is missing or holds no photo, or HEIC photos cannot be read here.
    """
    if not folder.is_dir():
        raise SceneError(f"{folder}: no such folder")
    photos = _photos(folder)
    if not photos:
        others = describe_others(folder, ())
        found = f" ({others})" if others else ""
        below = describe_folders(folder, "*/**/*")
        deeper = f"{below}: give that folder; " if below else ""
        wanted = f"expected {' '.join(SUFFIXES)} files"
        raise SceneError(f"{folder}: no photos in it{found}; {deeper}{wanted}")
    register_heic(photos)
    return photos


def describe_others(folder: Path, photos: Collection[Path]) -> str:
    """Say what a folder holds besides photos: how many of what; empty if nothing."""
    counts: Counter[str] = Counter()
    for path in visible(folder):
        if path in photos or path.is_dir():
            continue
        suffix = path.suffix.lower()
        if not path.exists():
            counts["links that lead nowhere"] += 1
        elif suffix in _RAW_SUFFIXES:
            counts[f"{suffix} (raw; develop them to JPEG)"] += 1
        elif suffix in SUFFIXES:
            counts["thumbnails"] += 1
        elif suffix not in _NO_PHOTOS:
            counts[suffix or path.name] += 1
    return ", ".join(f"{count} {what}" for what, count in counts.items())


def describe_folders(folder: Path, pattern: str = "*/*") -> str:
    """Say which folders below hold photos, which are not taken; empty if none does.

    Args:
        folder: to look into.
        pattern: of the files that are looked at; only names count.
    """
    counts: Counter[Path] = Counter()
    for path in islice(folder.glob(pattern), _MOST_LOOKED_AT):
        below = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in below.parts)
        if path.suffix.lower() in SUFFIXES and not hidden:
            counts[below.parent] += 1
    found = [f"{counts[place]} photos in folder {place}" for place in sorted(counts)]
    return ", ".join(found[:_MOST_TOLD] + ["..."] * (len(found) > _MOST_TOLD))


def dead_links(folder: Path) -> list[Path]:
    """List what a folder names as photos, but does not hold."""
    named = (path for path in visible(folder) if path.suffix.lower() in SUFFIXES)
    return [path for path in named if not path.exists()]


def register_heic(photos: Iterable[Path]) -> None:
    """Teach Pillow to open HEIC if a photo needs it.

    Raises:
        SceneError: the extra is not installed.
    """
    heic = next((path for path in photos if holds_heic(path)), None)
    if heic is None:
        return
    try:
        import pillow_heif  # Optional, and slow to import.
    except ImportError:
        raise SceneError(
            f"{heic}: HEIC photos need pillow-heif: pip install 'ovs3d[heic]'"
        ) from None
    pillow_heif.register_heif_opener()


def read_header(path: Path) -> Header:
    """Read what a picture says of itself before its pixels.

    Raises:
        SceneError: it is none, or raw.
    """
    with opened(path) as file:
        if file.format == "TIFF" and _DNG_VERSION in file.getexif():
            raise SceneError(f"{path}: a raw photo (DNG); develop it to JPEG first")
        return Header(
            format=file.format or "",
            alpha=file.has_transparency_data,
            sideways=sideways(file),
            size=file.size,
            aspect=_pixel_aspect(file),
        )


def _photos(folder: Path) -> list[Path]:
    photos = [path for path in visible(folder) if path.is_file() and _is_photo(path)]
    small = {path for path in photos if re.search("thumb", path.name, re.IGNORECASE)}
    if not small or len(small) == len(photos):
        return photos
    register_heic(photos)
    largest = max(read_header(path).size for path in photos if path not in small)
    return [
        path
        for path in photos
        if path not in small or 2 * max(read_header(path).size) > max(largest)
    ]


def _is_photo(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return True
    if suffix in (*_RAW_SUFFIXES, *_NO_PHOTOS, *VIDEO_SUFFIXES):
        return False
    try:
        return holds_heic(path) or read_header(path).format in _READ
    except SceneError:
        return False


def _pixel_aspect(file: Image.Image) -> float:
    """Return how many times as wide as high the stored pixels are; 1 if the file does not say."""
    relative = file.info.get("aspect")
    if file.info.get("jfif_unit") == 0:
        relative = file.info.get("jfif_density")
    # A ratio of sides if there is no unit, pixels an inch if there is.
    across, down = relative or tuple(file.info.get("dpi", (1, 1)))[::-1]
    aspect = float(across) / float(down) if across > 0 and down > 0 else 1.0
    stretch = max(aspect, 1 / aspect)
    return aspect if _LEAST_STRETCH <= stretch <= _MOST_STRETCH else 1.0
