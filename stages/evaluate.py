"""Score a segmentation on the held-out views of a scene: mIoU, accuracy, PSNR, SSIM, pictures."""

import argparse
import sys

from ovs3d.device import resolve_device
from ovs3d.distill.model import load_segmentation
from ovs3d.evaluation.report import EvaluationInputs, evaluate_scene
from ovs3d.evaluation.scored_views import choose_views
from ovs3d.params import SceneParams
from ovs3d.photos.dataset import open_photos
from ovs3d.photos.masks import read_masks
from ovs3d.photos.views import split_views
from ovs3d.progress import summary_table
from ovs3d.space.cameras import load_cameras
from stages._run import run


def main(arguments: argparse.Namespace, params: SceneParams) -> None:
    """Run the stage on parsed arguments."""
    device = resolve_device(params.device)
    photos = open_photos(arguments.images)
    cameras = load_cameras(arguments.poses / "cameras.json")
    model = load_segmentation(arguments.distill / "segmentation.safetensors", device)
    masks = read_masks(arguments.segmentations, model.labels, photos)
    split = split_views(len(photos), params.val_views, params.test_views, params.split)
    views = choose_views(split.val, split.test, masks.keys(), cameras.views, params.split)
    metrics = evaluate_scene(
        model,
        EvaluationInputs(photos, cameras, masks, views, params.stages.reconstruct.photo_colours),
        params.stages.clip_features.window_divisors,
        params.stages.evaluate.downscale,
        device,
        arguments.out,
    )
    numbers = {name: value for name, value in metrics.items() if isinstance(value, float)}
    per_class = {f"iou of {label}": iou for label, iou in metrics["per_class"].items()}
    scored = {"scored on": metrics["protocol"]["text"]}
    files = {"pictures": arguments.out / "overlays", "test scores": arguments.out / "test.json"}
    summary_table(f"evaluation of {arguments.scene}", {**numbers, **per_class, **scored, **files})


if __name__ == "__main__":
    sys.exit(run(main, __doc__, paths=("images", "segmentations", "poses", "distill", "out")))
