"""The truth in place of one input of the method: which part is at fault for what is missing."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot, pad

from ovs3d.distill.inputs import DistillInputs
from ovs3d.evaluation.segment import shrink_labels
from ovs3d.photos.dataset import open_photos
from ovs3d.poses.colmap_model import Lens, build_model
from ovs3d.poses.given_poses import FOLDER, proper_pose
from studies.case import Case
from studies.products import changed_scene, digests, key_of
from studies.scenes import Scene
from studies.stores import boxes_of, rewrite_windows

_MIDDLE = 5
"""The middle of a window is this part of it along both axes."""
Shares = Callable[[Tensor, Tensor, int], Tensor]


def true_windows(case: Case) -> DistillInputs:
    """Replace every window by the text of the label in its middle, as an encoder without fault."""
    return _replace_windows(case, case.inputs.text, _middle_codes)


def one_hot_windows(case: Case) -> DistillInputs:
    """Replace every window by the shares of the labels in it, and texts by one-hot codes."""
    text = case.inputs.text
    codes = torch.eye(*text.shape, device=text.device)
    return replace(_replace_windows(case, codes, label_shares), text=codes)


def true_poses(scene: Scene, work: Path) -> Scene:
    """Return a copy of a scene that brings its true cameras along as given poses."""
    cameras_file = scene.folder / "truth" / "cameras.json"
    photos = open_photos(scene.images)
    key = key_of(digests([*photos.paths, cameras_file]))

    def write(folder: Path) -> None:
        cameras = json.loads(cameras_file.read_text())
        lenses = [
            Lens(
                "PINHOLE",
                (camera["fx"], camera["fy"], camera["cx"], camera["cy"]),
                photos.width,
                photos.height,
            )
            for camera in cameras
        ]
        poses = [
            proper_pose(camera["world_from_camera"], f"{cameras_file}: view {view}")
            for view, camera in enumerate(cameras)
        ]
        folder.mkdir()
        build_model(photos.names, lenses, poses).write_binary(folder)

    copy = work / "true_poses" / f"{scene.name}-{key}"
    return changed_scene(scene, copy, f"images/{FOLDER}", write)


def _replace_windows(case: Case, codes: Tensor, shares_of: Shares) -> DistillInputs:
    store, codes = case.inputs.clip, codes.cpu()
    boxes = dict(zip(store.views, boxes_of(store).astype(np.int64), strict=True))

    def change(view: int, vectors: Tensor) -> Tensor:  # noqa: ARG001
        labels = shrink_labels(case.scene.label_map(view), store.downscale)
        shares = shares_of(
            torch.from_numpy(labels.copy()), torch.from_numpy(boxes[view]), len(codes)
        )
        return normalize(shares @ codes, dim=1)

    path = case.out / "clip.zarr"
    return replace(case.inputs, clip=rewrite_windows(store, path, codes.tolist(), change))


def _middle_codes(labels: Tensor, boxes: Tensor, count: int) -> Tensor:
    """Return 1 for the label that fills most of a window's middle, as `label_shares` otherwise."""
    left, upper, right, lower = boxes.unbind(dim=1)
    margin_x = (right - left) * (_MIDDLE - 1) // (2 * _MIDDLE)
    margin_y = (lower - upper) * (_MIDDLE - 1) // (2 * _MIDDLE)
    middle = (left + margin_x, upper + margin_y, right - margin_x, lower - margin_y)
    shares = label_shares(labels, torch.stack(middle, dim=1), count)
    largest = shares.amax(dim=1, keepdim=True)
    # Equal shares of all labels: the middle shows none.
    return torch.where(shares.amin(dim=1, keepdim=True) == largest, shares, shares == largest)


def label_shares(labels: Tensor, boxes: Tensor, count: int) -> Tensor:
    """Return the share of every label in windows.

    Args:
        labels: uint8 [h, w], 1 to `count`; other values have no label.
        boxes: int64 [M, 4] left, upper, right, lower.
        count: number of labels C.

    Returns:
        [M, C]; rows sum to 1, all equal where a window shows no label.
    """
    known = torch.where(labels <= count, labels, 0).long()
    layers = one_hot(known, count + 1)[..., 1:].double()
    sums = pad(layers.cumsum(0).cumsum(1), (0, 0, 1, 0, 1, 0))
    left, upper, right, lower = boxes.unbind(dim=1)
    counts = sums[lower, right] - sums[upper, right] - sums[lower, left] + sums[upper, left]
    counts += (counts.sum(dim=1, keepdim=True) == 0).double()
    return (counts / counts.sum(dim=1, keepdim=True)).float()
