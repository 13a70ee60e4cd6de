"""What stage render writes: a video, a labelled point cloud, label maps of the photos."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ovs3d.evaluation.drawing import legend, save_png
from ovs3d.evaluation.figures import label_entries, overlay
from ovs3d.evaluation.palette import NO_LABEL_COLOR, UNLABELLED
from ovs3d.evaluation.segment import SegmentedView, Segmenter, segment_view
from ovs3d.exports.flight import fly_through, write_video
from ovs3d.exports.labels import write_label_list, write_label_map
from ovs3d.exports.point_cloud import UNIT_FRAME, sample_points, write_point_cloud
from ovs3d.params import RenderParams
from ovs3d.progress import progress
from ovs3d.scene.cameras import Cameras


@dataclass(frozen=True)
class RenderReport:
    """What was written."""

    frames: int
    points: int
    label_maps: int

    def rows(self) -> dict[str, object]:
        """Return the report as rows of a table."""
        return {
            "frames in video.mp4": self.frames,
            "points in point_cloud*.ply": self.points,
            "label maps in labels/": self.label_maps,
        }


def export_scene(
    model: Segmenter,
    cameras: Cameras,
    label_views: Sequence[int],
    params: RenderParams,
    device: torch.device,
    out: Path,
) -> RenderReport:
    """Write video, preview, both point clouds, `labels/<view>.png` and `labels.json`.

    Args:
        model: the segmentation.
        cameras: cameras of the scene; the video flies between them, the points come from all.
        label_views: photo indices of the registered views that get a label map.
        params: resolution, length of the video, number of points.
        device: device of the model.
        out: folder to write to.
    """
    export_video(model, cameras, params, device, out)
    cloud, _ = sample_points(model, cameras, params.points, device)
    write_point_cloud(out, cloud, model.labels, UNIT_FRAME)
    with progress("label maps", len(label_views), "views") as advance:
        for view in label_views:
            rendered = segment_view(model, cameras, view, params.downscale, device)
            write_label_map(
                out / "labels" / f"{view:03d}.png", rendered.label_map, len(model.labels)
            )
            advance()
    write_label_list(out / "labels.json", model.labels)
    return RenderReport(params.frames, len(cloud), len(label_views))


def export_video(
    model: Segmenter, cameras: Cameras, params: RenderParams, device: torch.device, out: Path
) -> None:
    """Write the fly-through `video.mp4` and its first frame as `preview.png`."""
    path = fly_through(cameras, params.frames)

    def frames() -> Iterator[NDArray[np.uint8]]:
        with progress("video", params.frames, "frames") as advance:
            for view in path.views:
                rendered = segment_view(model, path, view, params.downscale, device)
                frame = side_by_side(rendered, model.labels)
                if view == 0:
                    save_png(Image.fromarray(frame), out / "preview.png")
                yield frame
                advance()

    write_video(out / "video.mp4", frames(), params.fps)


def side_by_side(rendered: SegmentedView, labels: Sequence[str]) -> NDArray[np.uint8]:
    """Set rendering and segmentation side by side over a legend: [h + legend, 2 w, 3]."""
    tinted = overlay(rendered.picture, rendered.label_map, len(labels))
    pictures = np.concatenate([rendered.picture, tinted], axis=1)
    # Whether a frame has such pixels or not: all frames of a video have one size.
    entries = [*label_entries(labels), (UNLABELLED, NO_LABEL_COLOR)]
    key = np.asarray(legend(entries, pictures.shape[1]))
    return np.concatenate([pictures, key], axis=0)
