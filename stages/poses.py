"""Recover the camera poses of a scene's photos with COLMAP and scale them to the unit scene."""

import argparse
import sys

from ovs3d.device import resolve_device
from ovs3d.params import SceneParams
from ovs3d.photos.dataset import open_photos
from ovs3d.poses.sfm import reconstruct_poses
from ovs3d.progress import summary_table
from stages._run import run


def main(arguments: argparse.Namespace, params: SceneParams) -> None:
    """Run the stage on parsed arguments."""
    photos = open_photos(arguments.images)
    device = resolve_device(params.device)
    report = reconstruct_poses(photos, params.stages.poses, params.seed, arguments.out, device)
    for warning in report.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    summary_table(f"poses of {arguments.scene}", report.rows())


if __name__ == "__main__":
    sys.exit(run(main, __doc__, paths=("images", "out")))
