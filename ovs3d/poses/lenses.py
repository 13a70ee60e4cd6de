"""Which photos share a camera: those whose EXIF tells of one lens at one focal length."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from PIL import ExifTags

from ovs3d.photos.picture_files import opened

CAMERA_TAGS = (ExifTags.Base.Make, ExifTags.Base.Model)
LENS_TAGS = (
    ExifTags.Base.LensModel,
    ExifTags.Base.FocalLength,
    ExifTags.Base.FocalLengthIn35mmFilm,
    ExifTags.Base.DigitalZoomRatio,
)
"""By these and `CAMERA_TAGS` lenses are told apart; they are in the EXIF's own directory."""


def lens_groups(paths: Sequence[Path]) -> list[int]:
    """Number the cameras of photos, in the order in which they appear, from 0.

    Photos whose EXIF has another camera, lens, focal length or digital zoom were not taken by one
    camera as COLMAP knows it. All that tell nothing share one.

    Raises:
        SceneError: a file is no image.
    """
    numbers: dict[tuple[str, ...], int] = {}
    return [numbers.setdefault(_lens(path), len(numbers)) for path in paths]


def _lens(path: Path) -> tuple[str, ...]:
    with opened(path) as file, warnings.catch_warnings():
        # A damaged tag is one that is not there.
        warnings.simplefilter("ignore", UserWarning)
        exif = file.getexif()
        lens = exif.get_ifd(ExifTags.IFD.Exif)
        found = (*map(exif.get, CAMERA_TAGS), *map(lens.get, LENS_TAGS))
        return tuple(map(str, found))
