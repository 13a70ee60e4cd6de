"""`write_all`: every file as another program's library reads it, and what is refused."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from plyfile import PlyData
from pycocotools.coco import COCO

from ovs3d.errors import Ovs3dError
from ovs3d.exports.write import MANIFEST, write_all
from ovs3d.intake.importers_transforms import read_transforms
from ovs3d.photos.dataset import NO_LABEL
from tests.evaluation.oracle import OracleSegmentation, read_folder
from tests.exports.conftest import OPTIONS, UNIT_FROM_COLMAP, Exported, segmented
from tests.synthetic import LABELS, SyntheticScene


def _to_unit(points: np.ndarray) -> np.ndarray:
    return UNIT_FROM_COLMAP.points(np.asarray(points, dtype=np.float64))


def _objects(exported: Exported) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((exported.folder / "objects.json").read_text())
    return content


def test_plyfile_reads_points_on_the_surface_with_normals(exported: Exported) -> None:
    vertex = PlyData.read(exported.folder / "point_cloud.ply")["vertex"]
    points = _to_unit(np.stack([vertex[axis] for axis in "xyz"], axis=1))
    normals = np.stack([vertex[f"n{axis}"] for axis in "xyz"], axis=1)
    floor = vertex["label"] == LABELS.index("floor")
    assert np.allclose(points[floor, 1], 0.8, atol=1e-4)
    # The floor's normal points up, that is to -y, in the unit scene.
    up = normals @ UNIT_FROM_COLMAP.rotation.T @ [0, -1, 0]
    assert np.median(up[floor]) > 0.95
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    assert (vertex["confidence"] > 1 / len(LABELS)).all()
    assert (vertex["confidence"] <= 1).all()
    assert len(points) == exported.report.points


def test_trimesh_reads_points_and_their_label_colors(exported: Exported) -> None:
    cloud = trimesh.load(exported.folder / "point_cloud_labels.ply")
    assert len(cloud.vertices) == exported.report.points
    assert len(np.unique(cloud.colors[:, :3], axis=0)) == len(LABELS)


def test_trimesh_reads_one_node_per_thing_below_its_label(exported: Exported) -> None:
    scene = trimesh.load_scene(exported.folder / "objects.glb")
    assert set(scene.graph.nodes_geometry) == {f"{label}/1" for label in LABELS}
    parents = scene.graph.transforms.parents
    assert all(parents[f"{label}/1"] == label for label in LABELS)
    assert {parents[label] for label in LABELS} == {"/upright"}
    wall = scene.geometry["wall/1"]
    assert np.allclose(_to_unit(wall.vertices)[:, 2], 3.6, atol=0.05)
    # Turned for viewers: the floor lies below everything else, up is +y.
    heights = {name: scene.graph[name][0] for name in ("floor/1", "red box/1")}
    floor, box = (
        trimesh.transform_points(scene.geometry[name].vertices, matrix)[:, 1].mean()
        for name, matrix in heights.items()
    )
    assert floor < box
    matrix = heights["floor/1"]
    up = scene.geometry["floor/1"].face_normals @ matrix[:3, :3].T
    assert np.median(up[:, 1]) > 0.9


# Of pycocotools, which asks NumPy for a copy in the way of NumPy 1.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_pycocotools_reads_masks_that_are_those_of_the_pngs(exported: Exported) -> None:
    coco = COCO(exported.folder / "instances.json")
    assert [cat["name"] for cat in coco.loadCats(coco.getCatIds())] == list(LABELS)
    assert len(coco.getImgIds()) == len(exported.world.cameras)
    for view in coco.getImgIds():
        with Image.open(exported.folder / "masks" / f"{view:03d}.png") as image:
            assert image.mode == "P"
            label_map = np.asarray(image)
        assert np.array_equal(label_map, exported.world.label_maps[view].numpy())
        found = np.full_like(label_map, NO_LABEL)
        for each in coco.loadAnns(coco.getAnnIds(imgIds=view)):
            mask = coco.annToMask(each).astype(bool)
            assert mask.sum() == each["area"]
            found[mask] = each["category_id"] - 1
        assert np.array_equal(found, label_map)


def test_soft_masks_are_probabilities(exported: Exported) -> None:
    with np.load(exported.folder / "soft_masks" / "001.npz") as content:
        masks, labels = content["masks"], content["labels"]
    assert tuple(labels) == LABELS
    assert masks.shape == (len(LABELS), *exported.world.label_maps.shape[1:])
    assert np.allclose(masks.sum(axis=0, dtype=np.float32), 1, atol=2e-3)
    assert np.array_equal(masks.argmax(axis=0), exported.world.label_maps[1].numpy())


def test_catalogue_measures_things_in_units_of_the_frame(exported: Exported) -> None:
    content = _objects(exported)
    assert content["frame"]["name"] == "colmap"
    assert {entry["label"]: entry["count"] for entry in content["labels"]} == dict.fromkeys(
        LABELS, 1
    )
    red = content["objects"][0]
    assert red["name"] == "red box/1"
    # Half sides 0.30, 0.35, 0.30 at (-0.75, 0.45, 2.2); COLMAP's units are half as long.
    centre = _to_unit(np.array([red["centroid"]]))[0]
    # The photos show the front alone, so depth is where it is off.
    assert np.allclose(centre, [-0.75, 0.45, 2.2], atol=[0.06, 0.06, 0.2])
    volume = red["volume"] * UNIT_FROM_COLMAP.scale**3
    assert 0.4 * 0.252 < volume < 1.05 * 0.252
    assert red["photos"] == list(exported.world.cameras.views)
    with (exported.folder / "objects.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [each["name"] for each in content["objects"]]
    assert float(rows[0]["centroid_x"]) == red["centroid"][0]


def test_transforms_lead_back_to_the_cameras(exported: Exported) -> None:
    given = read_transforms(exported.folder / "transforms.json")
    assert [path.name for path in given.photos.values()] == list(exported.world.cameras.names)
    poses = np.stack(
        [
            given.model.image(image_id).cam_from_world().inverse().matrix()
            for image_id in given.model.reg_image_ids()
        ]
    )
    expected = exported.world.cameras.world_from_camera.numpy()
    assert np.allclose(UNIT_FROM_COLMAP.poses(poses), expected, atol=1e-6)
    camera = given.model.image(1).camera
    assert np.allclose(camera.params[:4], exported.world.cameras.intrinsics[0].numpy())


def test_similarity_is_written_down(exported: Exported) -> None:
    frame = json.loads((exported.folder / MANIFEST).read_text())["frame"]
    point = np.array([0.3, 0.1, 2.0])
    moved = frame["scale"] * np.array(frame["rotation"]) @ point + frame["translation"]
    assert np.allclose(_to_unit(moved[None])[0], point)


def test_same_scene_same_bytes_and_only_the_labels_that_are_wanted(
    scene: SyntheticScene, tmp_path: Path
) -> None:
    made = segmented(scene, tmp_path)
    options = replace(OPTIONS, labels=("blue box", "red box"), frame="unit")
    for name in ("a", "b"):
        write_all(made, tmp_path / name, options)
    first = read_folder(tmp_path / "a")
    assert first == read_folder(tmp_path / "b")
    assert "soft_masks/000.npz" not in first
    content = json.loads(first["objects.json"])
    assert [each["label"] for each in content["objects"]] == ["red box", "blue box"]
    with Image.open(tmp_path / "a" / "masks" / "000.png") as image:
        assert set(np.unique(np.asarray(image)).tolist()) == {0, 2, NO_LABEL}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"labels": ("red bix",)}, "'red bix' is no label .* 'red box'", id="label"),
        pytest.param({"frame": "colmp"}, "'colmp' is no frame; did you mean 'colmap'", id="frame"),
        pytest.param({"frame": "original"}, "brought no poses along", id="no original"),
    ],
)
def test_unknown_words_are_told_and_the_earlier_export_stays(
    scene: SyntheticScene, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    made, out = segmented(scene, tmp_path), tmp_path / "out"
    out.mkdir()
    (out / MANIFEST).write_text('{"format": "ovs3d-export-1"}')
    with pytest.raises(Ovs3dError, match=message):
        write_all(made, out, replace(OPTIONS, **change))
    assert [path.name for path in out.iterdir()] == [MANIFEST]


def test_a_field_that_no_ray_meets_is_told(scene: SyntheticScene, tmp_path: Path) -> None:
    class Empty(OracleSegmentation):
        def render(self, *rays: Any) -> Any:
            found = super().render(*rays)
            return replace(found, opacity=found.opacity * 0.1)

    made = replace(segmented(scene, tmp_path), model=Empty())
    with pytest.raises(Ovs3dError, match="no ray of the photos meets anything"):
        write_all(made, tmp_path / "out", OPTIONS)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))


def test_a_label_that_nothing_has_is_told(scene: SyntheticScene, tmp_path: Path) -> None:
    class WithGiraffe(OracleSegmentation):
        labels = (*LABELS, "giraffe")

        def render(self, *rays: Any) -> Any:
            found = super().render(*rays)
            return replace(found, logits=torch.nn.functional.pad(found.logits, (0, 1), value=-1.0))

    made = replace(segmented(scene, tmp_path), model=WithGiraffe())
    with pytest.raises(Ovs3dError, match="no point of the scene has the label giraffe"):
        write_all(made, tmp_path / "out", replace(OPTIONS, labels=("giraffe",)))


def test_folders_that_hold_something_else_are_left_alone(
    scene: SyntheticScene, tmp_path: Path
) -> None:
    made, out = segmented(scene, tmp_path), tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("all of it")
    with pytest.raises(Ovs3dError, match="holds something else than an export"):
        write_all(made, out, OPTIONS)
    assert (out / "thesis.txt").read_text() == "all of it"
    with pytest.raises(Ovs3dError, match="is a file"):
        write_all(made, out / "thesis.txt", OPTIONS)
    with pytest.raises(Ovs3dError, match=r"cannot be written \(.+\); choose another"):
        write_all(made, out / "thesis.txt" / "below", OPTIONS)


def test_poses_that_the_scene_brought_have_the_original_frame(
    scene: SyntheticScene, tmp_path: Path
) -> None:
    made = segmented(scene, tmp_path)
    (made.images / "poses").mkdir()
    report = write_all(made, tmp_path / "out", OPTIONS)
    assert report.frame == "original"
