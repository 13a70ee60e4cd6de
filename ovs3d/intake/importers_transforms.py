"""`transforms.json` of nerfstudio, instant-ngp, the LERF dataset and NeRF's synthetic scenes.

A frame has a camera-to-world matrix with OpenGL axes (x right, y up, z backwards). Intrinsics are
in pixels, with (0, 0) at the upper left corner of the picture, and stand in the frame or for all
frames at the top; distortion is OpenCV's.
"""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

from ovs3d.errors import PosesError, one_line
from ovs3d.intake.importers_lens import read_lens
from ovs3d.intake.photo_files import register_heic
from ovs3d.intake.photo_finder import find_photos, photos_beside
from ovs3d.poses.colmap_model import build_model, quiet
from ovs3d.poses.given_poses import GivenPoses, name_some, proper_pose
from ovs3d.poses.pose_readings import OPENGL

FILE = "transforms.json"
PARTS = ("transforms_train.json", "transforms_val.json", "transforms_test.json")
"""What takes its place in NeRF's synthetic scenes."""

_PHOTO_KEYS = ("file_path", "file_name", "image_path", "rgb_path", "filename")
_POSE_KEYS = ("transform_matrix", "camera_to_world", "c2w", "pose")
_POINTS_KEYS = ("ply_file_path", "pointcloud_path")
_MOST_POINTS = 20_000
# Commas behind the last entry and comments, outside of strings.
_SLIPS = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*[\]}])|//[^\n]*|/\*.*?\*/', re.DOTALL)


@dataclass(frozen=True, eq=False)
class _Frame:
    """An entry of `frames` with the keys of its file's top.

    Attributes:
        name: its photo as the file has it.
        where: what a message calls it.
    """

    name: str
    values: Mapping[str, Any]
    where: str

    @property
    def pose(self) -> object:
        """What stands for its matrix, or None: some tools leave out what they could not place."""
        return next((v for key in _POSE_KEYS if (v := self.values.get(key)) is not None), None)


def transforms_files(root: Path) -> list[Path]:
    """List the files of a folder that hold frames; `root` may be the file itself."""
    if root.is_file():
        return [root]
    whole = root / FILE
    parts = [path for name in PARTS if (path := root / name).is_file()]
    return [whole] if whole.is_file() or not parts else parts


def read_transforms(root: Path) -> GivenPoses:
    """Read the poses and photos that a file names, or those of a synthetic scene's parts.

    Frames whose photo is not there, or that have no pose, stay out.

    Args:
        root: the file, or the folder that it, or its parts, lie in.

    Raises:
        PosesError: a file is something else, names no photo that is there or names one twice, or a
            frame has no intrinsics, or a pose or a camera that makes no sense.
    """
    files = transforms_files(root)
    folder, contents = files[0].parent, {file: _load(file) for file in files}
    origin = files[0] if len(files) == 1 else folder
    frames = [frame for file in files for frame in _frames(file, contents[file])]
    found = find_photos(folder, [frame.name for frame in frames])
    lost = tuple(frame.name for frame in frames if frame.name not in found)
    if len(lost) == len(frames):
        raise PosesError(
            f"{frames[0].where}: there is no such photo, nor that of any other frame (looked for "
            f"{folder / frames[0].name} and for files of these names in the folders below)"
        )
    register_heic(found.values())
    photos: dict[str, Path] = {}
    lenses, poses = [], []
    for frame in frames:
        photo = found.get(frame.name)
        if photo is None or frame.pose is None:
            continue
        if photo in photos.values():
            raise PosesError(f"{frame.where}: comes twice")
        photos[frame.name] = photo
        lenses.append(read_lens(frame.values, photo, frame.where))
        pose = proper_pose(frame.pose, frame.where)
        pose[:, :3] = pose[:, :3] @ OPENGL
        poses.append(pose)
    if not photos:
        raise PosesError(f"{frames[0].where}: no transform_matrix, nor has any other frame one")
    model = build_model(list(photos), lenses, poses)
    for file, content in contents.items():
        _add_points(model, file, content)
    masks, notes = _masks(folder, frames, photos)
    parts = {part: _part(part, files, contents, photos) for part in ("val", "test")}
    return GivenPoses(
        origin,
        model,
        photos,
        photos_beside(photos),
        masks,
        format=FILE,
        without_photo=lost,
        val=parts["val"] - parts["test"],
        test=parts["test"],
        notes=notes,
    )


def _load(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise PosesError(f"{file}: no such file") from None
    except (OSError, ValueError) as error:
        raise PosesError(f"{file}: cannot be read as text ({one_line(error)})") from None
    try:
        content = _parse(text)
    except (ValueError, RecursionError) as error:
        hint = "; JSON wants double quotes" if re.search(r"[{,]\s*'", text) else ""
        raise PosesError(f"{file}: cannot be read as JSON ({one_line(error)}{hint})") from None
    frames = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(frames, list) or not frames or not all(isinstance(f, dict) for f in frames):
        raise PosesError(f"{file}: no frames in it")
    return dict(content)


def _parse(text: str) -> Any:
    """Parse JSON with the slips that people make by hand; errors are of the text as it is."""
    try:
        return json.loads(text)
    except ValueError as error:
        with suppress(ValueError):
            return json.loads(_SLIPS.sub(lambda found: found[1] or "", text))
        raise error from None


def _frames(file: Path, content: Mapping[str, Any]) -> list[_Frame]:
    top = {key: value for key, value in content.items() if key != "frames"}
    frames = []
    for number, values in enumerate(content["frames"]):
        name = next((str(values[key]) for key in _PHOTO_KEYS if values.get(key)), "")
        if not name:
            raise PosesError(f"{file}: frame {number}: no file_path")
        frames.append(_Frame(name, {**top, **values}, f"{file}: frame {number}, {name}"))
    return frames


def _masks(
    folder: Path, frames: Sequence[_Frame], photos: Mapping[str, Path]
) -> tuple[dict[Path, Path], tuple[str, ...]]:
    """Return the masks of photos, and a note of those that are named but not there."""
    wanted = {
        frame.name: str(frame.values["mask_path"])
        for frame in frames
        if frame.name in photos and frame.values.get("mask_path")
    }
    found = find_photos(folder, list(wanted.values()))
    lost = sorted(mask for mask in wanted.values() if mask not in found)
    notes = (f"masks that are not there: {name_some(lost)}",) if lost else ()
    masks = {photos[name]: found[mask] for name, mask in wanted.items() if mask in found}
    return masks, notes


def _part(
    part: str,
    files: Sequence[Path],
    contents: Mapping[Path, Mapping[str, Any]],
    photos: Mapping[str, Path],
) -> frozenset[Path]:
    """Return the photos that a split holds out, by nerfstudio's key or by a file of their own."""
    names: set[str] = set()
    for file in files:
        listed = contents[file].get(f"{part}_filenames")
        if isinstance(listed, list):
            names |= {str(name) for name in listed}
        if file.name == f"transforms_{part}.json":
            names |= {frame.name for frame in _frames(file, contents[file])}
    by_name = {_plain(name): photo for name, photo in photos.items()}
    return frozenset(by_name[_plain(name)] for name in names if _plain(name) in by_name)


def _plain(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")


def _add_points(model: pycolmap.Reconstruction, file: Path, content: Mapping[str, Any]) -> None:
    """Add the points of a file that is named, evenly thinned; no photo is said to see them."""
    name = next((content[key] for key in _POINTS_KEYS if content.get(key)), None)
    path = file.parent / str(name).replace("\\", "/")
    if name is None or not path.is_file():
        return
    points = pycolmap.Reconstruction()
    try:
        with quiet():
            points.import_PLY(path)
    # COLMAP's reader raises several types.
    except Exception as error:
        reason = one_line(error)
        raise PosesError(f"{path}: cannot be read as points in PLY ({reason})") from None
    ids = sorted(points.point3D_ids())
    for point_id in ids[:: max(1, -(-len(ids) // _MOST_POINTS))]:
        point = points.point3D(point_id)
        if np.isfinite(point.xyz).all():
            model.add_point3D(point.xyz, pycolmap.Track(), point.color)
