"""`ovs3d report`: one page about a scene, for the browser, in one file."""

import argparse
from pathlib import Path

from ovs3d.apps.report_inputs import open_report
from ovs3d.apps.report_page import write_report
from ovs3d.exports.target import make_folder
from ovs3d.params import load_scene_params
from ovs3d.progress import summary_table
from ovs3d.project import PARAMS_FILE, RAW_FOLDER, built

_NEEDED = {
    "poses": "cameras.json",
    "dino_features": "pca.png",
    "reconstruct": "loss.csv",
    "distill": "segmentation.safetensors",
    "evaluate": "metrics.json",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `ovs3d report`."""
    parser.add_argument("name", help="a key of `scenes` in params.yaml")
    parser.add_argument("--out", type=Path, help="data/report/NAME/report.html if not given")


def run(arguments: argparse.Namespace) -> int:
    """Write the page, return 0.

    Raises:
        Ovs3dError: a stage has not run yet, or what it left cannot be read; or the page cannot be
            written.
    """
    name = arguments.name
    params = load_scene_params(PARAMS_FILE, name)
    out = arguments.out or Path("data/report", name, "report.html")
    make_folder(out.parent)
    for stage, file in _NEEDED.items():
        built(stage, name, file)
    raw = RAW_FOLDER / name
    inputs = open_report(name, raw / "images", raw / "segmentations", RAW_FOLDER.parent, params)
    size = write_report(inputs, out)
    summary_table(f"report of {name}", {"page": out, "megabytes": size / 1e6})
    return 0
