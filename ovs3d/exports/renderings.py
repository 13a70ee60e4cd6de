"""What stage render writes: a video, a labelled point cloud, label maps of the photos."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ovs3d.evaluation.drawing import save_png
from ovs3d.evaluation.segment import Segmenter, segment_view
from ovs3d.exports.flight import fly_through, write_video
from ovs3d.exports.labels import write_label_list, write_label_map
from ovs3d.exports.params import RenderParams
from ovs3d.exports.point_cloud import UNIT_FRAME, sample_points, write_point_cloud
from ovs3d.exports.stills import Look, picture
from ovs3d.progress import progress
from ovs3d.space.cameras import Cameras


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
    look = Look(("color", "label"), model.labels)

    def frames() -> Iterator[NDArray[np.uint8]]:
        with progress("video", params.frames, "frames") as advance:
            for view in path.views:
                rendered = segment_view(model, path, view, params.downscale, device)
                frame = picture(rendered, look)
                if view == 0:
                    save_png(Image.fromarray(frame), out / "preview.png")
                yield frame
                advance()

    write_video(out / "video.mp4", frames(), params.fps)
