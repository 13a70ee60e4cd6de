"""What stage distill reads besides the field, opened; apart, so that studies can change it."""

import argparse

from ovs3d.device import resolve_device
from ovs3d.distill.inputs import DistillInputs
from ovs3d.features.clip import load_clip
from ovs3d.features.store import FeatureStore
from ovs3d.features.token_store import TokenStore
from ovs3d.params import SceneParams
from ovs3d.photos.dataset import open_photos
from ovs3d.photos.labels import label_names, read_labels
from ovs3d.photos.views import split_views
from ovs3d.space.cameras import load_cameras
from ovs3d.spill import Spill


def gather_inputs(arguments: argparse.Namespace, params: SceneParams) -> DistillInputs:
    """Open photos, cameras and stores, and embed the labels.

    Args:
        arguments: of stage distill.
        params: of the scene.
    """
    device = resolve_device(params.device)
    photos = open_photos(arguments.images)
    labels = read_labels(arguments.classes)
    views = split_views(len(photos), params.val_views, params.test_views, params.split)
    section = params.stages.clip_features
    encoder = load_clip(section.model, section.weights, device)
    return DistillInputs(
        photos=photos,
        cameras=load_cameras(arguments.poses / "cameras.json"),
        train_views=views.train,
        clip=FeatureStore.open(arguments.clip_features / "clip.zarr").made_by(encoder.digest),
        dino=TokenStore.open(arguments.dino_features / "dino.zarr"),
        labels=label_names(labels),
        text=encoder.encode_text(labels, params.stages.distill.templates).to(device),
        spill=Spill(device, params.memory_budget, arguments.out),
    )
