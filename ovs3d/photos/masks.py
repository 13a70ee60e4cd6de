"""Masks of a scene: which pixels of a view show which label, drawn by the user."""

import unicodedata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ovs3d.errors import SceneError
from ovs3d.photos.dataset import Photos, same_shape, times, visible
from ovs3d.photos.picture_files import opened


def read_masks(
    segmentations: Path, labels: tuple[str, ...], photos: Photos
) -> dict[int, NDArray[np.uint8]]:
    """Read the masks `<view index>/<label>.png`; a missing folder means no masks.

    What a mask covers, `read_mask` tells. Masks may overlap, and leave pixels uncovered.

    Args:
        segmentations: folder of the view folders (`2` and `02` both mean view 2).
        labels: names of the scene's labels.
        photos: the scene's photos; masks have their size.

    Returns:
        View index -> the view's masks for `unpack_masks`, one bit a pixel and label, uint8
        `[ceil(C / 8), height, width]`; sorted by view index.

    Raises:
        SceneError: a folder is no view index or empty, or a mask is no label, no PNG, unreadable
            or of another size than the photos.
    """
    if not segmentations.is_dir():
        return {}
    folders: dict[int, Path] = {}
    for folder in filter(Path.is_dir, visible(segmentations)):
        view = _view_index(folder, len(photos))
        if view in folders:
            raise SceneError(f"{folder}: view {view} has its masks in {folders[view].name} already")
        folders[view] = folder
    return {view: _packed_masks(folders[view], labels, photos) for view in sorted(folders)}


def unpack_masks(packed: NDArray[np.uint8], count: int) -> NDArray[np.bool_]:
    """Return the masks of one view, whole or a part of it, as bool `[count, height, width]`."""
    return np.unpackbits(packed, axis=0, count=count, bitorder="little").astype(np.bool_)


def _view_index(folder: Path, count: int) -> int:
    if not folder.name.isdecimal() or int(folder.name) >= count:
        raise SceneError(
            f"{folder}: '{folder.name}' is no view index; the {count} photos, sorted by name, are "
            f"views 0 to {count - 1}"
        )
    return int(folder.name)


def _packed_masks(folder: Path, labels: tuple[str, ...], photos: Photos) -> NDArray[np.uint8]:
    files = visible(folder)
    if not files:
        raise SceneError(f"{folder}: no masks in it; expected <label>.png, or remove the folder")
    for file in files:
        if file.suffix.lower() != ".png":
            raise SceneError(f"{file}: masks are PNG files named <label>.png")
        if _label(file) not in labels:
            raise SceneError(
                f"{file}: '{file.stem}' is no label of this scene; labels: {', '.join(labels)}"
            )
    packed = np.zeros((-(-len(labels) // 8), photos.height, photos.width), dtype=np.uint8)
    for file in files:
        plane, bit = divmod(labels.index(_label(file)), 8)
        packed[plane] |= _load_mask(file, photos).astype(np.uint8) << bit
    return packed


def _label(file: Path) -> str:
    # Names of files may come from macOS, which takes accents off their letters.
    return unicodedata.normalize("NFC", file.stem)


def _load_mask(file: Path, photos: Photos) -> NDArray[np.bool_]:
    mask = read_mask(file)
    size = (photos.width, photos.height)
    if not same_shape(mask.size, size):
        raise SceneError(
            f"{file}: {times(mask.size)} pixels, but the photos have {times(size)}; a mask has "
            "the size of its photo, or at least its aspect ratio"
        )
    covered: NDArray[np.bool_] = np.asarray(mask.resize(size, Image.Resampling.NEAREST)) > 0
    return covered


def read_mask(file: Path) -> Image.Image:
    """Read what a mask covers: 255 there, 0 elsewhere (mode L).

    A mask covers the pixels brighter than half of its brightest, so that 0/255, 0/1, 16 bits and
    soft edges all work; of colours the largest channel counts. Where its alpha varies, the mask is
    what is opaque by the same rule; of an opaque part that is drawn in two colours, the brighter.

    Raises:
        SceneError: the file cannot be decoded, or all its palette's colours are the same.
    """
    with opened(file) as image:
        if image.mode == "F":
            raise ValueError("grey values that are no integers; save it with 8 or 16 bits")
        pixels, palette = np.asarray(image), image.mode == "P"
        if image.mode.startswith("I"):
            bright, shown = pixels.astype(np.int64), np.full(pixels.shape, True)
        else:
            colours = np.asarray(image.convert("RGBA")).astype(np.int64)
            bright, shown = colours[..., :3].max(axis=-1), _bright(colours[..., 3])
    same = palette and shown.all() and bright.max() == bright.min()
    if same and pixels.max() > pixels.min():
        raise SceneError(f"{file}: its palette gives all its pixels one colour; save it as grey")
    covered = _bright(bright)
    if bright.max() == bright.min():
        # Nothing to compare with: all if it is white or 1, nothing if it is not quite black.
        white = 65535 if image.mode.startswith("I") else 255
        covered[:] = bright == 1 if bright.max() <= white / 2 else True
    if not shown.all():
        drawn = len(np.unique(bright[shown])) == 2
        covered = covered & shown if drawn else shown
    return Image.fromarray(np.where(covered, 255, 0).astype(np.uint8))


def _bright(values: NDArray[np.int64]) -> NDArray[np.bool_]:
    covered: NDArray[np.bool_] = values > values.max() / 2
    return covered
