"""Render a segmented scene: a fly-through video, a labelled point cloud, label maps of photos."""

import argparse
import sys

from ovs3d.device import resolve_device
from ovs3d.distill.model import load_segmentation
from ovs3d.exports.renderings import export_scene
from ovs3d.params import SceneParams
from ovs3d.progress import summary_table
from ovs3d.space.cameras import load_cameras
from stages._run import run


def main(arguments: argparse.Namespace, params: SceneParams) -> None:
    """Run the stage on parsed arguments."""
    device = resolve_device(params.device)
    cameras = load_cameras(arguments.poses / "cameras.json")
    model = load_segmentation(arguments.distill / "segmentation.safetensors", device)
    held_out = {*params.val_views, *params.test_views}
    report = export_scene(
        model,
        cameras,
        # A scene that holds out nothing gets a label map of every photo.
        [view for view in cameras.views if view in held_out] or cameras.views,
        params.stages.render,
        device,
        arguments.out,
    )
    summary_table(f"renderings in {arguments.out}", report.rows())


if __name__ == "__main__":
    sys.exit(run(main, __doc__, paths=("poses", "distill", "out")))
