"""`ovs3d export`: write a segmented scene as files that other programs read."""

import argparse
from pathlib import Path

from ovs3d.apps.segmented import open_segmented
from ovs3d.exports.coordinates import FRAMES
from ovs3d.exports.write import ExportOptions, write_all
from ovs3d.params import load_scene_params
from ovs3d.progress import summary_table
from ovs3d.project import EXPORT_FOLDER, PARAMS_FILE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `ovs3d export`."""
    parser.add_argument("name", help="a key of `scenes` in params.yaml")
    parser.add_argument(
        "--frame",
        metavar="{" + ",".join(FRAMES) + "}",
        help="of all coordinates; if not given, the one in which the poses came: original if the "
        "scene brought poses along, else colmap",
    )
    parser.add_argument("--labels", nargs="+", help="only these; all if not given")
    parser.add_argument(
        "--soft-masks", action="store_true", help="also the probabilities of all labels, as NPZ"
    )
    parser.add_argument("--out", type=Path, help="folder; data/export/NAME if not given")


def run(arguments: argparse.Namespace) -> int:
    """Export a scene, return 0.

    Raises:
        Ovs3dError: the scene is unknown or not distilled, or see `write_all`.
    """
    params = load_scene_params(PARAMS_FILE, arguments.name)
    out = arguments.out or EXPORT_FOLDER / arguments.name
    options = ExportOptions(
        downscale=params.stages.render.downscale,
        points=params.stages.render.points,
        frame=arguments.frame,
        labels=arguments.labels,
        soft_masks=arguments.soft_masks,
    )
    report = write_all(open_segmented(arguments.name, params), out, options)
    summary_table(f"export in {out}", report.rows())
    return 0
