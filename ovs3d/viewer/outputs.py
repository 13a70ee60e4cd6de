"""What a viewer's user takes away: pictures, videos, files. All run as jobs."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from PIL import Image

from ovs3d.evaluation.drawing import save_png
from ovs3d.exports.flight import write_video
from ovs3d.exports.write import ExportOptions, SegmentedScene, write_all
from ovs3d.project import EXPORT_FOLDER, RAW_FOLDER, built
from ovs3d.viewer.camera import Pinhole
from ovs3d.viewer.paint import Look
from ovs3d.viewer.pictures import Picture, Refinement, splat_picture
from ovs3d.viewer.scene import OpenScene, view_folder

Advance = Callable[[float], None]
"""Told now and then what share of the work is done."""


def best_picture(scene: OpenScene, how: Look, camera: Pinhole, advance: Advance) -> Picture:
    """Draw a scene as well as can be: from the field, unless labels are hidden in it."""
    under = splat_picture(scene, how, camera)
    if scene.source is None or how.hidden:
        return under
    refinement = Refinement(scene, camera)
    while not refinement.done:
        refinement.advance(scene.source)
        advance(refinement.rows / camera.height)
    return refinement.over(under, how)


def save_picture(scene: OpenScene, how: Look, camera: Pinhole, advance: Advance) -> Path:
    """Write a picture as a PNG that does not exist yet; return its path."""
    path = _free(view_folder(scene.name), "picture", ".png")
    save_png(Image.fromarray(best_picture(scene, how, camera, advance)), path)
    return path


def save_video(
    scene: OpenScene,
    how: Look,
    path: Sequence[Pinhole],
    fps: int,
    from_field: bool,
    advance: Advance,
) -> Path:
    """Write a video along a camera path as an MP4 that does not exist yet; return its path.

    Args:
        scene: that is filmed.
        how: it is shown.
        path: a camera for each frame, all of one size.
        fps: frames per second.
        from_field: slowly from the field itself instead of at once from its splats.
        advance: told how far it is.
    """
    file = _free(view_folder(scene.name), "video", ".mp4")

    def frames() -> Iterator[Picture]:
        for number, camera in enumerate(path):

            def within(share: float, number: int = number) -> None:
                advance((number + share) / len(path))

            if from_field:
                yield best_picture(scene, how, camera, within)
            else:
                yield splat_picture(scene, how, camera)
            within(1.0)

    write_video(file, frames(), fps)
    return file


def export(scene: OpenScene, name: str) -> Path:
    """Return a file of the export of a scene, which is written when first one is asked for.

    Args:
        scene: with labels.
        name: of the file, see `ovs3d.exports.write.write_all`.

    Raises:
        Ovs3dError: see there.
    """
    out = EXPORT_FOLDER / scene.name
    if not scene.exported:
        assert scene.source
        assert scene.source.segmentation
        images, poses = RAW_FOLDER / scene.name / "images", built("poses", scene.name, "")
        model, device = scene.source.segmentation, torch.device("cpu")
        whole = SegmentedScene(scene.name, model, scene.cameras, images, poses, device)
        params = scene.render
        write_all(whole, out, ExportOptions(downscale=params.downscale, points=params.points))
        scene.exported = True
    return out / name


def _free(folder: Path, name: str, suffix: str) -> Path:
    number = 1
    while (path := folder / f"{name}-{number:03d}{suffix}").exists():
        number += 1
    return path
