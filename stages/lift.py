"""Lift the window features of a scene's photos onto the surface of its field, for any words."""

import argparse
import sys

from ovs3d.device import resolve_device
from ovs3d.features.clip import load_clip
from ovs3d.features.store import FeatureStore
from ovs3d.field.checkpoint import load_field
from ovs3d.files import digest
from ovs3d.identity import code_of
from ovs3d.language.lift import Lifter, LiftInputs
from ovs3d.language.store import NAME
from ovs3d.language.volume import save_volume
from ovs3d.params import SceneParams
from ovs3d.photos.dataset import open_photos
from ovs3d.photos.views import split_views
from ovs3d.progress import summary_table
from ovs3d.resume import Checkpoint
from ovs3d.space.cameras import load_cameras
from stages._run import run

_CODE = code_of(__file__)


def main(arguments: argparse.Namespace, params: SceneParams) -> None:
    """Run the stage on parsed arguments."""
    device = resolve_device(params.device)
    photos = open_photos(arguments.images)
    views = split_views(len(photos), params.val_views, params.test_views, params.split)
    clip = params.stages.clip_features
    encoder = load_clip(clip.model, clip.weights, device)
    field_file = arguments.reconstruct / "field.safetensors"
    inputs = LiftInputs(
        field=load_field(field_file, device),
        photos=photos,
        cameras=load_cameras(arguments.poses / "cameras.json"),
        train_views=views.train,
        clip=FeatureStore.open(arguments.clip_features / "clip.zarr").made_by(encoder.digest),
    )
    files = [*photos.paths, arguments.poses / "cameras.json", field_file]
    made_from = {
        "files": [digest(file) for file in files],
        "features": inputs.clip.fingerprint,
        "params": [params.stages.lift.model_dump(mode="json"), views.train, device.type],
    }
    checkpoint = Checkpoint(arguments.out / "unfinished.pt", _CODE, made_from)
    lifted = Lifter(inputs, params.stages.lift).run(checkpoint)
    save_volume(arguments.out / NAME, lifted, inputs, params.stages.lift, clip, encoder)
    checkpoint.remove()
    summary_table(f"language volume of {arguments.scene}", lifted.rows())


if __name__ == "__main__":
    paths = ("images", "poses", "clip_features", "reconstruct", "out")
    sys.exit(run(main, __doc__, paths=paths))
