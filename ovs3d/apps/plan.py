"""`ovs3d plan`: what a scene will cost on this machine, before the work.

Formulas and constants are rough on purpose; they were fitted to the demo and are good to a factor
of about two. What they do show is which stage takes the hours, and what does not fit.
"""

import argparse
import os
from collections.abc import Mapping

from rich.table import Table

from ovs3d.apps.costs import Costs, scene_costs
from ovs3d.apps.scene_sizes import SceneShape, SceneSizes
from ovs3d.device import resolve_device
from ovs3d.params import load_scene_params
from ovs3d.photos.dataset import open_photos
from ovs3d.photos.labels import LABELS_FILE, read_labels
from ovs3d.progress import plain_console
from ovs3d.project import PARAMS_FILE, RAW_FOLDER

_GIGA, _MEGA = 1e9, 1e6
_HOUR, _MINUTE = 3600, 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `ovs3d plan`."""
    parser.add_argument("name", help="a key of `scenes` in params.yaml")


def run(arguments: argparse.Namespace) -> int:
    """Print what the scene costs, stage by stage; return 0."""
    params = load_scene_params(PARAMS_FILE, arguments.name)
    folder = RAW_FOLDER / arguments.name
    photos = open_photos(folder / "images")
    shape = SceneShape(
        photos=len(photos),
        width=photos.width,
        height=photos.height,
        labels=len(read_labels(folder / "segmentations" / LABELS_FILE)),
        held_out=len(params.val_views) + len(params.test_views),
    )
    device = resolve_device(params.device)
    costs = scene_costs(params.stages, shape, device)
    console = plain_console()
    console.print(
        f"{shape.photos} photos of {shape.width} x {shape.height}, {shape.labels} labels, on "
        f"{device.type} with {os.cpu_count()} cores",
        highlight=False,
    )
    console.print(encoder_table(costs.sizes))
    console.print(stage_table(costs))
    console.print("estimates, good to a factor of about two")
    return 0


def encoder_table(sizes: SceneSizes) -> Table:
    """Tell windows and tokens per view and what the encoders compute for them."""
    table = Table("encoder", "inputs of a view", "GFLOP each", "TFLOP in all")
    windows = " + ".join(map(str, sizes.windows))
    for name, of_view, cost, count in (
        ("CLIP", f"{windows} windows", sizes.clip, sizes.clip_views * sum(sizes.windows)),
        ("DINO", f"1 of {sizes.tokens} tokens", sizes.dino, sizes.shape.photos),
    ):
        flops = cost.flops
        table.add_row(name, of_view, f"{flops / _GIGA:,.1f}", f"{count * flops / 1e12:,.1f}")
    return table


def stage_table(costs: Costs) -> Table:
    """Tell time, memory and disk of every stage."""
    table = Table("stage", "time", "peak memory", "on disk")
    for stage, seconds in costs.seconds.items():
        written = costs.disk.get(stage)
        table.add_row(
            stage,
            duration(seconds),
            f"{costs.memory[stage] / _GIGA:.1f} GB",
            f"{written / _MEGA:,.0f} MB" if written else "",
        )
    table.add_section()
    table.add_row(
        "all", duration(_total(costs.seconds)), "", f"{_total(costs.disk) / _MEGA:,.0f} MB"
    )
    return table


def duration(seconds: float) -> str:
    """Say a time in the unit that fits, to two digits or so."""
    for unit, name in ((_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 2 * unit:
            digits = 0 if seconds >= 10 * unit else 1
            return f"{seconds / unit:.{digits}f} {name}"
    return f"{seconds:.0f} s"


def _total(parts: Mapping[str, float]) -> float:
    return sum(parts.values())
