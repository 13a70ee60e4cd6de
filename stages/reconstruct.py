"""Train the radiance field of a scene and score it on the views that are held out."""

import argparse
import sys

from ovs3d.device import keep_freed_memory, resolve_device
from ovs3d.evaluation.heldout import score_field
from ovs3d.field.checkpoint import save_field
from ovs3d.files import digest, write_csv, write_json
from ovs3d.identity import code_of
from ovs3d.params import SceneParams
from ovs3d.photos.dataset import open_photos
from ovs3d.photos.views import split_views
from ovs3d.progress import summary_table
from ovs3d.reconstruct.train import train_field
from ovs3d.resume import Checkpoint
from ovs3d.space.bounds import bounded_by
from ovs3d.space.cameras import load_cameras
from stages._run import run

_CODE = code_of(__file__)


def main(arguments: argparse.Namespace, params: SceneParams) -> None:
    """Run the stage on parsed arguments."""
    keep_freed_memory()
    device = resolve_device(params.device)
    photos = open_photos(arguments.images)
    views = split_views(len(photos), params.val_views, params.test_views, params.split)
    all_cameras = load_cameras(arguments.poses / "cameras.json")
    cameras = bounded_by(all_cameras, arguments.poses, views.train)
    bounds = (cameras.near, cameras.far, cameras.points_min.tolist(), cameras.points_max.tolist())
    own = params.stages.reconstruct
    files = [*photos.paths, arguments.poses / "cameras.json"]
    made_from = {
        "files": [digest(file) for file in files],
        "scene": [views.train, bounds, params.seed, device.type],
        "params": own.model_dump(mode="json"),
    }
    checkpoint = Checkpoint(arguments.out / "unfinished.pt", _CODE, made_from)
    field, history = train_field(photos, cameras, views.train, own, params.seed, device, checkpoint)
    metrics = score_field(
        field, photos, cameras, views.scored, own.downscale, match_colours=own.photo_colours
    )
    save_field(arguments.out / "field.safetensors", field)
    write_csv(arguments.out / "loss.csv", history)
    write_json(arguments.out / "metrics.json", metrics)
    checkpoint.remove()
    held_out = {f"held-out {name}": metrics[name] for name in ("psnr", "ssim") if name in metrics}
    summary_table(
        f"reconstruction of {arguments.scene}",
        {"training psnr": history[-1]["psnr"], **held_out, "grid": field.config.grid},
    )


if __name__ == "__main__":
    sys.exit(run(main, __doc__, paths=("images", "poses", "out")))
