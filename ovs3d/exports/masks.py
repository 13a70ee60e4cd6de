"""Masks of photos: label maps at their size, soft masks, and instances as COCO annotations."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from scipy.spatial import KDTree
from torch.nn import functional

from ovs3d.evaluation.segment import SegmentedView
from ovs3d.exports.objects import SceneObject
from ovs3d.exports.surface import Seen
from ovs3d.field.render import MIN_OPACITY
from ovs3d.files import atomic_path
from ovs3d.photos.dataset import NO_LABEL
from ovs3d.space.cameras import Cameras, pixel_centres


def write_soft_masks(path: Path, masks: NDArray[np.float32], labels: Sequence[str]) -> None:
    """Write probabilities [h, w, C] as `masks` [C, h, w] float16 beside `labels`, compressed."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        stored = np.ascontiguousarray(masks.transpose(2, 0, 1), dtype=np.float16)
        np.savez_compressed(file, masks=stored, labels=np.array(labels))


def photo_sized(rendered: SegmentedView, width: int, height: int) -> NDArray[np.uint8]:
    """Return a rendered view's label indices at the size of the photo, [height, width].

    Scores are interpolated between the centres of the rendered pixels, then the best label is
    taken: outlines are smooth, not stairs.
    """
    rows, columns = rendered.opacity.shape
    factor = height // rows

    def enlarged(values: NDArray[np.float32]) -> NDArray[np.float32]:
        size = (rows * factor, columns * factor)
        image = torch.from_numpy(np.ascontiguousarray(values))[None, None]
        large = functional.interpolate(image, size, mode="bilinear", align_corners=False)[0, 0]
        # A remainder that the downscale does not divide repeats its neighbours.
        return np.pad(large.numpy(), ((0, height - size[0]), (0, width - size[1])), mode="edge")

    best = enlarged(rendered.logits[..., 0])
    labels = np.zeros((height, width), np.uint8)
    for index in range(1, rendered.logits.shape[-1]):
        scores = enlarged(rendered.logits[..., index])
        better = scores > best
        labels[better] = index
        best = np.maximum(best, scores)
    labels[enlarged(rendered.opacity) < MIN_OPACITY] = NO_LABEL
    return labels


class Instances:
    """Tells which thing a pixel of a rendered photo shows: the nearest one of its label."""

    def __init__(self, objects: Sequence[SceneObject], cameras: Cameras, downscale: int) -> None:
        self._cameras, self._downscale = cameras, downscale
        self._of_label: dict[int, list[SceneObject]] = {}
        for each in objects:
            self._of_label.setdefault(each.label, []).append(each)
        # Where a label has one thing only, nothing has to be searched.
        self._trees = {
            label: KDTree(np.concatenate([each.mesh.vertices for each in things]))
            for label, things in self._of_label.items()
            if len(things) > 1
        }

    def masks(
        self, view: int, seen: Seen, label_map: NDArray[np.uint8], chosen: Collection[int]
    ) -> Iterator[tuple[int, SceneObject | None, NDArray[np.bool_]]]:
        """Cut a photo into instances.

        Args:
            view: photo index.
            seen: its rendering.
            label_map: [H, W] label indices at the size of the photo.
            chosen: labels that are wanted.

        Yields:
            Label, thing and mask [H, W]; no thing where the label has none in the scene.
        """
        for label in sorted(set(np.unique(label_map).tolist()) & set(chosen)):
            mask = label_map == label
            things = self._of_label.get(label, [])
            if len(things) < 2:
                yield label, things[0] if things else None, mask
                continue
            owners = self._owners(view, seen, label, mask.shape)
            for index, thing in enumerate(things):
                own = mask & (owners == index)
                if own.any():
                    yield label, thing, own

    def _owners(
        self, view: int, seen: Seen, label: int, size: tuple[int, ...]
    ) -> NDArray[np.int64]:
        """Return the index of the nearest thing of a label at every pixel of the photo."""
        things = self._of_label[label]
        xy = pixel_centres(self._cameras.width, self._cameras.height, self._downscale)
        origins, directions = self._cameras.rays(view, xy)
        points = origins.numpy() + seen.depth.reshape(-1, 1) * directions.numpy()
        _, nearest = self._trees[label].query(points)
        ends = np.cumsum([len(each.mesh.vertices) for each in things])
        owners = np.searchsorted(ends, nearest, side="right").reshape(seen.depth.shape)
        rows, columns = (
            (np.arange(side) // self._downscale).clip(max=small - 1)
            for side, small in zip(size, owners.shape, strict=True)
        )
        return np.asarray(owners[rows[:, None], columns])


def annotation(
    view: int, label: int, thing: SceneObject | None, mask: NDArray[np.bool_], score: float
) -> dict[str, Any]:
    """Describe an instance as COCO does, its mask run-length encoded; `id` is left to the caller.

    Args:
        view: photo index, which is the image's id.
        label: index; the category's id is one more.
        thing: entry of the object catalogue, told as `object_id`.
        mask: [H, W], not empty.
        score: mean probability of the label.
    """
    runs = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {
        "image_id": view,
        "category_id": label + 1,
        "object_id": thing.number if thing else None,
        "segmentation": {"size": list(mask.shape), "counts": runs["counts"].decode("ascii")},
        "area": int(mask.sum()),
        "bbox": [float(value) for value in coco_mask.toBbox(runs)],
        "iscrowd": 0,
        "score": round(score, 4),
    }


def coco_content(
    cameras: Cameras,
    labels: Sequence[str],
    chosen: Sequence[int],
    annotations: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return a COCO instances file, ids of categories and annotations from 1."""
    return {
        "info": {"description": "labels of a segmented radiance field, by ovs3d"},
        "licenses": [],
        "images": [
            {"id": view, "file_name": name, "width": cameras.width, "height": cameras.height}
            for view, name in zip(cameras.views, cameras.names, strict=True)
        ],
        "categories": [
            {"id": index + 1, "name": labels[index], "supercategory": ""} for index in chosen
        ],
        "annotations": [{"id": rank, **each} for rank, each in enumerate(annotations, start=1)],
    }
