"""A segmented scene, made up, and what `write_all` makes of it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from ovs3d.exports.write import ExportOptions, SegmentedScene, WriteReport, write_all
from ovs3d.files import write_json
from ovs3d.space.normalise import TRANSFORM_FILE, Similarity
from tests.evaluation.oracle import OracleSegmentation
from tests.synthetic import SyntheticScene, write_scene

OPTIONS = ExportOptions(downscale=1, points=2000)
QUARTER_TURN = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
UNIT_FROM_COLMAP = Similarity(0.5, QUARTER_TURN, np.array([0.1, -0.2, 0.3]))


@dataclass(frozen=True)
class Exported:
    """The folder that was written, of what, and the report."""

    folder: Path
    scene: SegmentedScene
    world: SyntheticScene
    report: WriteReport


def segmented(world: SyntheticScene, folder: Path) -> SegmentedScene:
    """Return the synthetic world as if all stages had run in a folder."""
    write_scene(world, folder / "boxes")
    write_json(folder / "poses" / TRANSFORM_FILE, UNIT_FROM_COLMAP.to_json())
    return SegmentedScene(
        "boxes",
        OracleSegmentation(),
        world.cameras,
        folder / "boxes" / "images",
        folder / "poses",
        torch.device("cpu"),
    )


@pytest.fixture(scope="session")
def exported(scene: SyntheticScene, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The world in the frame of COLMAP, with soft masks."""
    folder = tmp_path_factory.mktemp("exported")
    made = segmented(scene, folder)
    options = ExportOptions(downscale=1, points=2000, frame="colmap", soft_masks=True)
    report = write_all(made, folder / "out", options)
    return Exported(folder / "out", made, scene, report)
