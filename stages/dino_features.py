"""Encode a scene's photos with DINO, one token per patch, and picture the tokens of one view."""

import argparse
import sys

from ovs3d.device import keep_freed_memory, resolve_device
from ovs3d.features.cluster import Cluster
from ovs3d.features.extract_dino import extract_dino
from ovs3d.features.pictures import save_token_picture
from ovs3d.features.token_store import TokenStore
from ovs3d.params import SceneParams
from ovs3d.photos.dataset import open_photos
from ovs3d.progress import summary_table
from stages._run import run

STORE = "dino.zarr"


def main(arguments: argparse.Namespace, params: SceneParams) -> None:
    """Run the stage on parsed arguments."""
    keep_freed_memory()
    photos = open_photos(arguments.images)
    section = params.stages.dino_features
    cluster = Cluster.from_environment(params.device)
    device = resolve_device("cpu" if cluster else params.device)
    store = arguments.out / STORE
    report = extract_dino(photos, section, device, store, cluster)
    middle = len(photos) // 2
    save_token_picture(TokenStore.open(store), photos, middle, arguments.out / "pca.png")
    summary_table(f"DINO features of {arguments.scene}", report.rows())


if __name__ == "__main__":
    sys.exit(run(main, __doc__, paths=("images", "out")))
