"""Distil CLIP and DINO features into the reconstructed field of a scene."""

import argparse
import sys

from ovs3d.device import resolve_device
from ovs3d.distill.bank import DistillInputs
from ovs3d.distill.model import save_segmentation
from ovs3d.distill.train import distill
from ovs3d.features.clip import load_clip
from ovs3d.features.store import FeatureStore, TokenStore
from ovs3d.field.checkpoint import load_field
from ovs3d.files import digest, write_csv
from ovs3d.params import SceneParams
from ovs3d.progress import summary_table
from ovs3d.resume import Checkpoint
from ovs3d.scene.cameras import load_cameras
from ovs3d.scene.dataset import open_photos
from ovs3d.scene.labels import label_names, read_labels
from ovs3d.scene.views import split_views
from ovs3d.spill import Spill
from stages._run import run


def main(arguments: argparse.Namespace, params: SceneParams) -> None:
    """Run the stage on parsed arguments."""
    device = resolve_device(params.device)
    cameras, field = arguments.poses / "cameras.json", arguments.reconstruct / "field.safetensors"
    photos = open_photos(arguments.images)
    labels = read_labels(arguments.classes)
    views = split_views(len(photos), params.val_views, params.test_views, params.split)
    clip_params, own = params.stages.clip_features, params.stages.distill
    encoder = load_clip(clip_params.model, clip_params.weights, device)
    inputs = DistillInputs(
        photos=photos,
        cameras=load_cameras(cameras),
        train_views=views.train,
        clip=FeatureStore.open(arguments.clip_features / "clip.zarr").made_by(encoder.digest),
        dino=TokenStore.open(arguments.dino_features / "dino.zarr"),
        labels=label_names(labels),
        text=encoder.encode_text(labels, own.templates).to(device),
        spill=Spill(device, params.memory_budget, arguments.out),
    )
    made_from = {
        "files": [*map(digest, (*photos.paths, arguments.classes, cameras, field))],
        "features": [encoder.digest, inputs.clip.fingerprint, inputs.dino.fingerprint],
        "params": [own.model_dump(mode="json"), views.train, params.seed, device.type],
    }
    checkpoint = Checkpoint(arguments.out / "unfinished.pt", made_from)
    trained = load_field(field, device)
    model, history, dropped = distill(trained, inputs, own, params.seed, checkpoint)
    save_segmentation(arguments.out / "segmentation.safetensors", model)
    write_csv(arguments.out / "loss.csv", history)
    checkpoint.remove()
    summary_table(f"distillation of {arguments.scene}", {**inputs.rows(), **dropped, **history[-1]})


if __name__ == "__main__":
    paths = ("images", "classes", "poses", "clip_features", "dino_features", "reconstruct", "out")
    sys.exit(run(main, __doc__, paths=paths))
