"""Bringing a user's photos into a scene's folder, byte for byte where every tool can read them.

A file's way: `list_photos` finds it, `plan_photos` decides from the headers what has to change, and
`bring_photos` copies it, or decodes, changes and writes it once.
"""

import os
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from PIL.ExifTags import IFD, Base

from ovs3d.errors import SceneError
from ovs3d.intake.photo_files import SUFFIXES, Header, read_header
from ovs3d.photos.dataset import PHOTO_SUFFIXES, same_shape, visible
from ovs3d.photos.masks import read_mask
from ovs3d.photos.picture_files import JPEG, flat, opaque, opened, upright
from ovs3d.photos.sharpness import look_at_photo
from ovs3d.poses.lenses import CAMERA_TAGS, LENS_TAGS
from ovs3d.poses.undistort import Undistortion
from ovs3d.progress import progress

# Pillow, COLMAP and video tools all read these.
_COPIED = ("JPEG", "MPO", "PNG")
# What tells lenses apart, and from what else COLMAP takes the focal length that it starts with.
_LENS_TAGS = (
    *LENS_TAGS,
    *(Base.FocalPlaneXResolution, Base.FocalPlaneYResolution, Base.FocalPlaneResolutionUnit),
)


@dataclass(frozen=True, eq=False)
class Plan:
    """How a file becomes a photo of the scene.

    Attributes:
        name: of the photo.
        copied: it stays as it is, byte for byte.
        turned: as the EXIF tag says; False where poses are of the pixels as they are stored.
        redraw: without distortion, by this; None: the lens may stay.
        stretched: the pixels of the file are not square, those of the photo will be.
        size: width and height in pixels, upright, before it is put on a canvas.
        canvas: side of the square in whose middle it is put where some photos are upright and some
            lie; the border is transparent.
        mask: a file that is dark where the photo is not to be looked at.
    """

    name: str
    copied: bool
    turned: bool
    redraw: Undistortion | None
    stretched: bool
    size: tuple[int, int]
    canvas: int | None
    mask: Path | None


def plan_photos(
    photos: Sequence[Path],
    rewrite: Mapping[Path, Undistortion | None],
    masks: Mapping[Path, Path],
    posed: bool,
) -> dict[Path, Plan]:
    """Decide how photos are brought; only headers are read.

    Args:
        photos: files.
        rewrite: those to take as they are stored, not turned -> how to redraw them, if at all.
        masks: photo -> file that is dark where the photo is not to be looked at.
        posed: the photos have poses; those are of the pixels as they are, so none are stretched.

    Raises:
        SceneError: a file is no picture, or two would get one name.
    """
    headers = {path: read_header(path) for path in photos}
    sizes = {path: _size(header, path in rewrite, posed) for path, header in headers.items()}
    shapes = set(sizes.values())
    canvas = max(max(shapes)) if len(shapes) == 2 and {s[::-1] for s in shapes} == shapes else None
    alpha = {path for path in photos if headers[path].alpha or path in masks or canvas}
    names = photo_names(photos, alpha)
    plans = {}
    for path, header in headers.items():
        stretched = not posed and header.aspect != 1
        changes = path in rewrite or path in masks or stretched or canvas is not None
        plans[path] = Plan(
            name=names[path],
            copied=not changes and header.format in _COPIED,
            turned=path not in rewrite,
            redraw=rewrite.get(path),
            stretched=stretched,
            size=sizes[path],
            canvas=canvas,
            mask=masks.get(path),
        )
    return plans


def photo_names(photos: Iterable[Path], alpha: Collection[Path] = ()) -> dict[Path, str]:
    """Choose the file names that photos get in the scene.

    Where their own names are not unique, the folders that tell them apart become part of the name.

    Args:
        photos: files.
        alpha: of these, the ones that JPEG cannot hold.

    Raises:
        SceneError: two photos would get one name.
    """
    paths = list(photos)
    names = {path: path.name for path in paths}
    if len(set(names.values())) < len(paths):
        common = os.path.commonpath(paths)
        names = {path: "_".join(path.relative_to(common).parts) for path in paths}
    owners: dict[str, Path] = {}
    for path, name in names.items():
        suffix = path.suffix.lower()
        if suffix not in PHOTO_SUFFIXES or (path in alpha and suffix != ".png"):
            stem = name[: -len(suffix)] if suffix in SUFFIXES else name
            names[path] = f"{stem}{'.png' if path in alpha else '.jpg'}"
        other = owners.setdefault(names[path].casefold(), path)
        if other != path:
            raise SceneError(
                f"{path}: would become {names[path]}, as {other.name} would; remove one"
            )
    return names


def bring_photos(plans: Mapping[Path, Plan], images: Path, link: bool) -> None:
    """Write photos into a folder, and check that each can be decoded.

    Args:
        plans: photo -> how.
        images: the folder to make.
        link: make hard links of what would be copied.

    Raises:
        SceneError: a photo is broken, shows nothing, or cannot be linked.
    """
    images.mkdir(parents=True)
    with progress("photos", len(plans), "photos") as advance:
        for path, plan in plans.items():
            if plan.copied:
                look_at_photo(path)
                place = _link if link else shutil.copyfile
                place(path, images / plan.name)
            else:
                _write(path, plan, images / plan.name)
            advance()


def bring_masks(segmentations: Path, plans: Sequence[Plan], target: Path) -> None:
    """Copy masks, changed as their photos were; hidden files stay behind.

    Args:
        segmentations: folder of view folders of masks.
        plans: of the photos, by view; none if these are as they were.
        target: the folder to make. It can be written, even if the source cannot.
    """
    for folder in filter(Path.is_dir, visible(segmentations)):
        (target / folder.name).mkdir(parents=True)
        known = folder.name.isdecimal() and int(folder.name) < len(plans)
        plan = plans[int(folder.name)] if known else None
        for path in visible(folder):
            copy = target / folder.name / path.name
            if plan is None or not (plan.redraw or plan.stretched or plan.canvas):
                shutil.copyfile(path, copy)
            else:
                _change_mask(path, plan).save(copy, "PNG")


def _size(header: Header, as_stored: bool, posed: bool) -> tuple[int, int]:
    width, height = header.size
    if not posed:
        # One side grows, none shrinks.
        width = round(width * max(1.0, header.aspect))
        height = round(height / min(1.0, header.aspect))
    return (height, width) if header.sideways and not as_stored else (width, height)


def _write(path: Path, plan: Plan, target: Path) -> None:
    with opened(path) as file:
        photo, mask = flat(file), opaque(file)
        # Where pixels move, the focal length of the EXIF holds no longer.
        exif = _camera_exif(file) if plan.turned and not plan.stretched else Image.Exif()
        if plan.turned:
            photo = upright(photo, file)
            mask = None if mask is None else upright(mask, file)
    if plan.mask:
        drawn = _change_size(read_mask(plan.mask), photo.size, plan.mask)
        mask = drawn if mask is None else Image.composite(mask, drawn, drawn)
    if mask:
        if not mask.getbbox():
            raise SceneError(f"{path}: its alpha or its mask leaves out every pixel")
        photo.putalpha(mask)
    if plan.redraw:
        photo = plan.redraw.redraw(photo)
        if mask:
            # What was mixed with pixels that are left out is left out, too.
            photo.putalpha(photo.getchannel("A").point(lambda value: 255 * (value == 255)))
    if photo.size != plan.size:
        photo = photo.resize(plan.size, Image.Resampling.LANCZOS)
    if plan.canvas:
        photo = _on_canvas(photo.convert("RGBA"), plan.canvas)
    if target.suffix.lower() == ".png":
        photo.save(target, "PNG", exif=exif)
    else:
        photo.save(target, "JPEG", exif=exif, **JPEG)


def _change_mask(path: Path, plan: Plan) -> Image.Image:
    mask = read_mask(path)
    if plan.stretched:
        # It may have been drawn on the pixels as they are stored, or as a viewer shows them.
        mask = mask.resize(plan.size, Image.Resampling.NEAREST)
    mask = _change_size(mask, plan.size, path)
    if plan.redraw:
        mask = plan.redraw.redraw(mask)
    return _on_canvas(mask, plan.canvas) if plan.canvas else mask


def _change_size(mask: Image.Image, size: tuple[int, int], path: Path) -> Image.Image:
    if not same_shape(mask.size, size):
        raise SceneError(f"{path}: a mask has the aspect ratio of its photo")
    return mask.resize(size, Image.Resampling.NEAREST)


def _on_canvas(picture: Image.Image, side: int) -> Image.Image:
    canvas = Image.new(picture.mode, (side, side))
    canvas.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return canvas


def _camera_exif(file: Image.Image) -> Image.Exif:
    """Return what the EXIF says about camera and lens."""
    exif, found = Image.Exif(), file.getexif()
    exif.update({tag: found[tag] for tag in CAMERA_TAGS if tag in found})
    lens = found.get_ifd(IFD.Exif)
    exif.get_ifd(IFD.Exif).update({tag: lens[tag] for tag in _LENS_TAGS if tag in lens})
    return exif


def _link(path: Path, target: Path) -> None:
    try:
        os.link(path.resolve(), target)
    except OSError as error:
        raise SceneError(f"{path}: cannot be linked ({error.strerror}); leave out --link") from None
