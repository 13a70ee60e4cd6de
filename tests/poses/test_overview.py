"""The picture from above shows every camera and the points in their box."""

from pathlib import Path

import numpy as np
import pytest

from ovs3d.plots import save_plot
from ovs3d.poses.overview import draw_overview
from tests.synthetic import SyntheticScene


@pytest.mark.parametrize("points_in_the_box", [0, 3])
def test_cameras_and_points_are_at_their_x_and_z(
    scene: SyntheticScene, points_in_the_box: int, tmp_path: Path
) -> None:
    cameras = scene.cameras
    middle = (cameras.points_min + cameras.points_max).numpy() / 2
    points = np.stack([*[middle] * points_in_the_box, middle + 1e6])
    plot = draw_overview(cameras, points, np.full((len(points), 3), 9, np.uint8))
    (axes,) = plot.axes
    (drawn,) = axes.collections
    np.testing.assert_allclose(np.asarray(drawn.get_offsets()), points[:-1, [0, 2]])
    path, *wedges = axes.lines
    centres = cameras.world_from_camera[:, [0, 2], 3].numpy()
    np.testing.assert_allclose(np.asarray(path.get_xydata()), centres)
    assert len(wedges) == len(centres)
    for wedge, centre in zip(wedges, centres, strict=True):
        np.testing.assert_allclose(np.asarray(wedge.get_xydata())[[0, -1]], [centre, centre])
    save_plot(plot, tmp_path / "overview.png")
