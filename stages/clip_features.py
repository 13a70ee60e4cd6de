"""Embed hierarchical windows of a scene's photos with CLIP (Algorithm 1)."""

import argparse
import sys

from ovs3d.device import keep_freed_memory, resolve_device
from ovs3d.features.cluster import Cluster
from ovs3d.features.extract_clip import extract_clip
from ovs3d.params import SceneParams
from ovs3d.photos.dataset import open_photos
from ovs3d.photos.views import split_views
from ovs3d.poses.upright import read_turn
from ovs3d.progress import summary_table
from stages._run import run

STORE = "clip.zarr"


def main(arguments: argparse.Namespace, params: SceneParams) -> None:
    """Run the stage on parsed arguments."""
    keep_freed_memory()
    cluster = Cluster.from_environment(params.device)
    photos = open_photos(arguments.images)
    views = split_views(len(photos), params.val_views, params.test_views, params.split)
    report = extract_clip(
        photos,
        params.stages.clip_features,
        params.seed,
        resolve_device("cpu" if cluster else params.device),
        arguments.out / STORE,
        cluster,
        views.train,
        read_turn(arguments.poses),
    )
    summary_table(f"CLIP features of {arguments.scene}", report.rows())


if __name__ == "__main__":
    sys.exit(run(main, __doc__, paths=("images", "poses", "out")))
