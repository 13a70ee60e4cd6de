"""Point cloud, label maps and the files of stage render."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ovs3d.evaluation.palette import NO_LABEL_COLOR, color_table, label_colors
from ovs3d.evaluation.segment import segment_view
from ovs3d.exports.labels import write_label_map
from ovs3d.exports.params import RenderParams
from ovs3d.exports.point_cloud import PointCloud, estimate_normals, sample_points, write_point_cloud
from ovs3d.exports.renderings import export_scene
from ovs3d.exports.stills import Look, picture
from ovs3d.photos.dataset import NO_LABEL
from tests.evaluation.oracle import OracleSegmentation, read_folder
from tests.synthetic import LABELS, SyntheticScene

CPU = torch.device("cpu")
PARAMS = RenderParams(downscale=2, frames=4, fps=12, points=500)
BOTH = Look(("color", "label"), LABELS)
PLY_TYPES = {"float": "<f4", "uchar": "u1"}


def _read_ply(path: Path) -> tuple[list[str], np.ndarray]:
    """Read a PLY as a foreign program would: from its header alone."""
    header, _, body = path.read_bytes().partition(b"end_header\n")
    lines = header.decode("ascii").splitlines()
    fields = [line.split()[1:] for line in lines if line.startswith("property")]
    dtype = np.dtype([(name, PLY_TYPES[kind]) for kind, name in fields])
    vertices = np.frombuffer(body, dtype)
    assert f"element vertex {len(vertices)}" in lines
    return lines, vertices


def test_points_lie_on_the_surfaces_of_their_labels(scene: SyntheticScene) -> None:
    cloud, _ = sample_points(OracleSegmentation(), scene.cameras, 1000, CPU)
    assert len(cloud) == 1000
    floor, wall = (cloud.positions[cloud.labels == LABELS.index(name)] for name in LABELS[3:])
    assert len(floor) > 50
    assert np.allclose(floor[:, 1], 0.8, atol=1e-4)
    assert len(wall) > 50
    assert np.allclose(wall[:, 2], 3.6, atol=1e-4)
    assert set(cloud.labels.tolist()) == set(range(len(LABELS)))


def test_points_leave_out_what_is_see_through(scene: SyntheticScene) -> None:
    model = OracleSegmentation(opacity=0.2)
    cloud, _ = sample_points(model, scene.cameras, 1000, CPU)
    assert 0 < len(cloud) < 1000
    assert cloud.labels.min() == LABELS.index("floor")


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_points_respect_the_limit_and_cover_the_photo(scene: SyntheticScene, limit: int) -> None:
    cloud, _ = sample_points(OracleSegmentation(), scene.cameras, limit, CPU)
    assert len(cloud) == limit
    assert len(np.unique(cloud.positions, axis=0)) == limit


def test_point_cloud_round_trip(tmp_path: Path) -> None:
    cloud = PointCloud(
        np.array([[0.5, -1, 2], [3, 4, 5]], np.float32),
        np.array([[0, 0, 1], [0, 1, 0]], np.float32),
        np.array([[1, 2, 3], [4, 5, 6]], np.uint8),
        np.array([1, 0], np.uint8),
        np.array([0.5, 0.75], np.float32),
    )
    write_point_cloud(tmp_path, cloud, ["red apple", "pastel de nata\nãe"], ["frame"])
    lines, vertices = _read_ply(tmp_path / "point_cloud.ply")
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    assert "comment label 0 red apple" in lines
    # A line break in a name must not break the header, nor letters that PLY does not know.
    assert "comment label 1 pastel de nata \\xe3e" in lines
    assert [vertices[axis].tolist() for axis in "xyz"] == [[0.5, 3], [-1, 4], [2, 5]]
    assert vertices["green"].tolist() == [2, 5]
    assert vertices["label"].tolist() == [1, 0]
    assert vertices["nz"].tolist() == [1, 0]
    assert vertices["confidence"].tolist() == [0.5, 0.75]
    names, vertices = _read_ply(tmp_path / "point_cloud_labels.ply")
    assert names == lines
    painted = np.stack([vertices[name] for name in ("red", "green", "blue")], axis=1)
    assert np.array_equal(painted, label_colors(2)[[1, 0]])


def test_normals_of_a_plane_look_at_the_camera() -> None:
    x, y = np.meshgrid(np.arange(6), np.arange(5))
    plane = np.stack([x, y, 0.5 * x], axis=-1).reshape(-1, 3).astype(np.float32)
    expected = np.array([0.5, 0, -1]) / np.sqrt(1.25)
    camera = np.tile(np.array([0, 0, -9], np.float32), (len(plane), 1))
    np.testing.assert_allclose(estimate_normals(plane, camera), len(plane) * [expected], atol=1e-5)
    np.testing.assert_allclose(estimate_normals(plane[:1], camera[:1]), [[0, 0, -1]], atol=1e-6)


def test_write_label_map_keeps_indices_and_shows_colors(tmp_path: Path) -> None:
    indices = np.array([[0, 1, 2], [2, NO_LABEL, 0]], np.uint8)
    write_label_map(tmp_path / "a.png", indices, 3)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image), indices)
        assert np.array_equal(np.asarray(image.convert("RGB")), color_table(3)[indices])
    assert color_table(3)[NO_LABEL].tolist() == list(NO_LABEL_COLOR)


def test_side_by_side_names_the_labels(scene: SyntheticScene) -> None:
    view = segment_view(OracleSegmentation(), scene.cameras, 0, 1, CPU)
    frame = picture(view, BOTH)
    height, width = view.label_map.shape
    assert frame.shape[1] == 2 * width
    assert np.array_equal(frame[:height, :width], view.picture)
    assert (frame[height:] == label_colors(1)[0]).all(axis=-1).any()


def test_what_rays_do_not_meet_is_black_and_named(scene: SyntheticScene) -> None:
    views = [
        segment_view(OracleSegmentation(opacity), scene.cameras, 0, 1, CPU)
        for opacity in (1.0, 0.2)
    ]
    whole, holes = (picture(view, BOTH) for view in views)
    height, width = views[0].label_map.shape
    boxes = views[1].label_map == NO_LABEL
    grey = np.rint(views[1].picture.mean(axis=-1) * 0.35)
    assert np.array_equal(holes[:height, width:][boxes][:, 0], grey[boxes])
    # The legend names it in every frame; frames of a video have one size.
    assert whole.shape == holes.shape
    assert np.array_equal(whole[height:], holes[height:])
    assert (whole[height:] == NO_LABEL_COLOR).all(axis=-1).any()


def test_export_scene_writes_the_same_files_twice(scene: SyntheticScene, tmp_path: Path) -> None:
    contents = []
    for name in ("a", "b"):
        report = export_scene(
            OracleSegmentation(), scene.cameras, (1, 4), PARAMS, CPU, tmp_path / name
        )
        contents.append(read_folder(tmp_path / name))
    assert contents[0] == contents[1]
    assert sorted(contents[0]) == [
        "labels.json",
        "labels/001.png",
        "labels/004.png",
        "point_cloud.ply",
        "point_cloud_labels.ply",
        "preview.png",
        "video.mp4",
    ]
    assert list(report.rows().values()) == [4, 500, 2]
    names = [entry["label"] for entry in json.loads(contents[0]["labels.json"])]
    assert tuple(names) == LABELS
    with Image.open(tmp_path / "a" / "labels" / "001.png") as image:
        assert image.size == (scene.cameras.width // 2, scene.cameras.height // 2)
