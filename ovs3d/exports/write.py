"""Everything that can be taken away from a segmented scene, written into one folder."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ovs3d.errors import SceneError
from ovs3d.evaluation.segment import Segmenter, segment_view
from ovs3d.exports.confidence import probabilities
from ovs3d.exports.coordinates import Frame, find_frame
from ovs3d.exports.glb import write_glb
from ovs3d.exports.labels import chosen_labels, write_label_list, write_label_map
from ovs3d.exports.masks import (
    Instances,
    annotation,
    coco_content,
    photo_sized,
    write_soft_masks,
)
from ovs3d.exports.objects import SceneObject, catalogue, find_objects, write_catalogue
from ovs3d.exports.point_cloud import sample_points, write_point_cloud
from ovs3d.exports.surface import Seen, fuse
from ovs3d.exports.target import make_folder
from ovs3d.exports.transforms import transforms
from ovs3d.files import atomic_path, write_json
from ovs3d.photos.dataset import NO_LABEL
from ovs3d.progress import progress
from ovs3d.space.cameras import Cameras

MANIFEST = "export.json"
_FORMAT = "ovs3d-export-1"


@dataclass(frozen=True)
class SegmentedScene:
    """A scene that stage distill has finished."""

    name: str
    model: Segmenter
    cameras: Cameras
    images: Path
    """Folder of the photos."""
    poses: Path
    """Folder of stage poses."""
    device: torch.device
    """Of the model."""


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What to write, and how."""

    downscale: int
    """The field is rendered at photo / downscale; masks are then brought to the photos' size."""
    points: int
    """At most so many in the point cloud."""
    frame: str | None = None
    """See `ovs3d.exports.coordinates.find_frame`."""
    labels: Sequence[str] | None = None
    """Names of those that are wanted; None: all."""
    soft_masks: bool = False


@dataclass(frozen=True)
class WriteReport:
    """What was written."""

    frame: str
    points: int
    objects: int
    triangles: int
    photos: int
    instances: int
    megabytes: float

    def rows(self) -> dict[str, object]:
        """Return the report as rows of a table."""
        return {
            "frame of coordinates": self.frame,
            "points in point_cloud*.ply": self.points,
            "things in objects.json, objects.csv": self.objects,
            "triangles in objects.glb": self.triangles,
            "photos in masks/": self.photos,
            "instances in instances.json": self.instances,
            "megabytes": self.megabytes,
        }


def write_all(scene: SegmentedScene, out: Path, options: ExportOptions) -> WriteReport:
    """Write a scene into a folder, which appears when it is complete.

    The folder gets `point_cloud.ply`, `point_cloud_labels.ply`, `objects.glb` (unless there are
    no things), `objects.json`, `objects.csv`, `masks/<view>.png` of every photo that has a pose,
    `instances.json` (COCO), `soft_masks/<view>.npz` on request, `transforms.json`, `labels.json`,
    and `export.json`, which says what frame the coordinates are in.

    Args:
        scene: what to export.
        out: an earlier export there is replaced, anything else is not touched.
        options: what to write.

    Raises:
        SceneError: a label or the frame is unknown, the folder holds something else, or the field,
            or what it has of the labels, is empty.
        StoreError: the folder cannot be written.
        PosesError: the transform of stage poses is missing.
    """
    frame = find_frame(options.frame, scene.poses, scene.images)
    chosen = chosen_labels(scene.model.labels, options.labels)
    _check_target(out)
    with atomic_path(out) as folder:
        folder.mkdir()
        return _Writer(scene, options, frame, chosen, folder, out).write()


class _Writer:
    """Writes the parts of an export, and holds what several of them need."""

    def __init__(
        self,
        scene: SegmentedScene,
        options: ExportOptions,
        frame: Frame,
        chosen: list[int],
        folder: Path,
        out: Path,
    ) -> None:
        self.scene, self.options, self.frame, self.chosen = scene, options, frame, chosen
        self.folder, self.out = folder, out
        self.labels = scene.model.labels

    def write(self) -> WriteReport:
        """Write everything."""
        cameras, frame = self.scene.cameras, self.frame
        cloud, spread = sample_points(
            self.scene.model, cameras, self.options.points, self.scene.device
        )
        if not len(cloud):
            raise SceneError(
                f"{self.scene.name}: no ray of the photos meets anything, so there is nothing to "
                "export; look at data/reconstruct and run stage reconstruct again"
            )
        cloud = cloud.only(self.chosen).moved(frame.from_unit)
        if not len(cloud):
            names = ", ".join(self.labels[index] for index in self.chosen)
            raise SceneError(f"{self.scene.name}: no point of the scene has the label {names}")
        write_point_cloud(self.folder, cloud, self.labels, frame.lines())
        seen = {view: self._photo(view, spread) for view in self._views("masks")}
        mesh = fuse(seen, cameras, self.options.downscale, len(self.labels))
        objects, splinters = find_objects(mesh, self.labels, self.chosen)
        # glTF knows no empty scene: things may all lie beyond the box of the sparse points.
        if objects:
            write_glb(self.folder / "objects.glb", objects, self.labels, frame)
        annotations = self._instances(seen, objects)
        coco = coco_content(cameras, self.labels, self.chosen, annotations)
        # Not indented: masks are long lines anyway.
        with atomic_path(self.folder / "instances.json") as temporary:
            temporary.write_text(json.dumps(coco, ensure_ascii=False) + "\n")
        photos = {
            thing.number: [a["image_id"] for a in annotations if a["object_id"] == thing.number]
            for thing in objects
        }
        content = catalogue(objects, self.labels, splinters, photos, frame)
        write_catalogue(self.folder, content)
        poses = transforms(cameras, frame, self.scene.images, self.out)
        write_json(self.folder / "transforms.json", poses)
        write_label_list(self.folder / "labels.json", self.labels)
        manifest = {"format": _FORMAT, "scene": self.scene.name, "frame": frame.to_json()}
        write_json(self.folder / MANIFEST, manifest)
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return WriteReport(
            frame.name,
            len(cloud),
            len(objects),
            sum(len(each.mesh.faces) for each in objects),
            len(seen),
            len(annotations),
            sum(path.stat().st_size for path in files) / 1e6,
        )

    def _photo(self, view: int, spread: float) -> Seen:
        """Render a photo, write its masks, keep what the rest needs."""
        cameras = self.scene.cameras
        rendered = segment_view(
            self.scene.model, cameras, view, self.options.downscale, self.scene.device
        )
        label_map = photo_sized(rendered, cameras.width, cameras.height)
        label_map[~np.isin(label_map, self.chosen)] = NO_LABEL
        write_label_map(self._mask_file(view), label_map, len(self.labels))
        if self.options.soft_masks:
            soft = probabilities(rendered.logits, spread)[..., self.chosen]
            names = [self.labels[index] for index in self.chosen]
            write_soft_masks(self.folder / "soft_masks" / f"{view:03d}.npz", soft, names)
        return Seen.of(rendered, spread)

    def _instances(self, seen: dict[int, Seen], objects: list[SceneObject]) -> list[dict[str, Any]]:
        instances = Instances(objects, self.scene.cameras, self.options.downscale)
        annotations = []
        for view in self._views("instances"):
            with Image.open(self._mask_file(view)) as image:
                label_map = np.asarray(image)
            for label, thing, mask in instances.masks(view, seen[view], label_map, self.chosen):
                own = seen[view].labels == label
                score = (
                    float(seen[view].confidence[own].mean(dtype=np.float64)) if own.any() else 0.0
                )
                annotations.append(annotation(view, label, thing, mask, score))
        return annotations

    def _views(self, what: str) -> Iterator[int]:
        with progress(what, len(self.scene.cameras.views), "photos") as advance:
            for view in self.scene.cameras.views:
                yield view
                advance()

    def _mask_file(self, view: int) -> Path:
        return self.folder / "masks" / f"{view:03d}.png"


def _check_target(out: Path) -> None:
    """Refuse to replace anything but an earlier export.

    Raises:
        SceneError: something else is there.
        StoreError: nothing can be written there.
    """
    if out.is_file():
        raise SceneError(f"{out}: is a file; --out takes a folder")
    make_folder(out.parent)
    if out.is_dir() and any(out.iterdir()) and not _is_export(out):
        raise SceneError(f"{out}: holds something else than an export; choose another --out")


def _is_export(out: Path) -> bool:
    try:
        return bool(json.loads((out / MANIFEST).read_text())["format"] == _FORMAT)
    except (OSError, KeyError, TypeError, ValueError):
        return False
