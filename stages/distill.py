"""Distil CLIP and DINO features into the reconstructed field of a scene."""

import argparse
import sys

from ovs3d.distill.inputs import DistillInputs
from ovs3d.distill.model import save_segmentation
from ovs3d.distill.train import distill
from ovs3d.field.checkpoint import load_field
from ovs3d.files import digest, write_csv
from ovs3d.identity import code_of
from ovs3d.params import SceneParams
from ovs3d.progress import summary_table
from ovs3d.resume import Checkpoint
from stages._inputs import gather_inputs
from stages._run import run

_CODE = code_of(__file__)


def main(arguments: argparse.Namespace, params: SceneParams) -> None:
    """Run the stage on parsed arguments."""
    train(gather_inputs(arguments, params), arguments, params)


def train(inputs: DistillInputs, arguments: argparse.Namespace, params: SceneParams) -> None:
    """Distil the inputs into the field and write what the stage writes."""
    device, own, views = inputs.text.device, params.stages.distill, inputs.train_views
    field_file = arguments.reconstruct / "field.safetensors"
    files = [*inputs.photos.paths, arguments.poses / "cameras.json", field_file]
    made_from = {
        "files": [digest(file) for file in files],
        "features": [inputs.clip.fingerprint, inputs.dino.fingerprint, inputs.text.tolist()],
        "params": [own.model_dump(mode="json"), inputs.labels, views, params.seed, device.type],
    }
    checkpoint = Checkpoint(arguments.out / "unfinished.pt", _CODE, made_from)
    field = load_field(field_file, device)
    model, history, dropped = distill(field, inputs, own, params.seed, checkpoint)
    save_segmentation(arguments.out / "segmentation.safetensors", model)
    write_csv(arguments.out / "loss.csv", history)
    checkpoint.remove()
    summary_table(f"distillation of {arguments.scene}", {**inputs.rows(), **dropped, **history[-1]})


if __name__ == "__main__":
    paths = ("images", "classes", "poses", "clip_features", "dino_features", "reconstruct", "out")
    sys.exit(run(main, __doc__, paths=paths))
