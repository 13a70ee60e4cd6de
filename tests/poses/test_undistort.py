"""Photos of fisheyes are redrawn by a pinhole camera: every ray keeps its colour."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from numpy.typing import NDArray
from PIL import Image

from ovs3d.apps.cli import main
from ovs3d.errors import PosesError
from ovs3d.photos.dataset import load_photo, open_photos
from ovs3d.poses.undistort import undistort
from ovs3d.space.distortion import from_colmap_camera
from tests.closure import ROOT

Array = NDArray[np.float64]

WIDTH, HEIGHT = 200, 150
FOCAL, CENTRE = (110.0, 112.0), (104.0, 73.0)
BEND = (0.05, -0.01, 0.0, 0.0)


def fisheye() -> pycolmap.Camera:
    params = (*FOCAL, *CENTRE, *BEND)
    return pycolmap.Camera(
        model="OPENCV_FISHEYE", params=params, width=WIDTH, height=HEIGHT, camera_id=1
    )


def color(plane: Array) -> Array:
    """Return the colour `[N, 3]`, 0..255, of rays through points `[N, 2]` of the plane z = 1."""
    x, y = plane.T
    waves = [np.sin(3 * x + y), np.cos(2 * y - x), np.sin(2 * x) * np.cos(3 * y)]
    return 127.5 + 120 * np.stack(waves, axis=1)


def pixel_centres() -> Array:
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def fisheye_rays(xy: Array) -> Array:
    """Return the points of the plane z = 1 that OpenCV's fisheye model shows at pixels."""
    bent = (xy - CENTRE) / FOCAL
    radius: Array = np.linalg.norm(bent, axis=1)
    angles = np.linspace(0, 1.4, 200_000)
    powers = [k * angles ** (2 * i + 3) for i, k in enumerate(BEND)]
    angle = np.interp(radius, angles + sum(powers), angles)
    return bent * (np.tan(angle) / np.maximum(radius, 1e-12))[:, None]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A data set of nerfstudio with three fisheye photos and a mask of the second."""
    folder = tmp_path / "source"
    (folder / "images").mkdir(parents=True)
    photo = color(fisheye_rays(pixel_centres())).reshape(HEIGHT, WIDTH, 3)
    frames = []
    for view in range(3):
        Image.fromarray(photo.round().astype(np.uint8)).save(folder / f"images/{view}.png")
        matrix = np.eye(4)
        matrix[0, 3] = view
        frames.append({"file_path": f"images/{view}.png", "transform_matrix": matrix.tolist()})
    keys = ("fl_x", "fl_y", "cx", "cy", "k1", "k2", "k3", "k4")
    lens = dict(zip(keys, (*FOCAL, *CENTRE, *BEND), strict=True))
    content = {"camera_model": "OPENCV_FISHEYE", **lens, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(content))
    (folder / "segmentations/1").mkdir(parents=True)
    (folder / "segmentations/classes.txt").write_text("bright\n")
    mask = (photo[..., 0] > 128).astype(np.uint8) * 255
    Image.fromarray(mask).save(folder / "segmentations/1/bright.png")
    return folder


def test_imported_fisheye_photos_and_masks_follow_the_pinhole_camera(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    shutil.copy(ROOT / "params.yaml", project)
    monkeypatch.chdir(project)
    assert main(["new-scene", "wide", str(source), "--preset", "tiny"]) == 0
    images = project / "data/raw/wide/images"
    model = pycolmap.Reconstruction(images / "poses")
    photos = open_photos(images)
    for image in model.images.values():
        assert image.camera.model_name == "PINHOLE"
        [fx, fy, cx, cy], distortion = from_colmap_camera("PINHOLE", image.camera.params)
        assert not any(distortion)
        # No larger than needed: the centre keeps its size.
        assert (fx, fy, cx, cy) == (*FOCAL, *CENTRE)
        plane = (pixel_centres() - (cx, cy)) / (fx, fy)
        expected = color(plane).reshape(HEIGHT, WIDTH, 3)
        found = load_photo(photos.paths[photos.names.index(image.name)], 1).numpy()
        assert np.abs(found - expected).max() < 3
    with Image.open(project / "data/raw/wide/segmentations/1/bright.png") as mask:
        covered = np.asarray(mask) > 0
    assert (covered == (expected[..., 0] > 128)).mean() > 0.99


class CountingLens:
    """A camera that notes how many rays it is asked for at once."""

    def __init__(self, camera: pycolmap.Camera) -> None:
        self.camera, self.asked = camera, list[int]()

    def img_from_cam(self, rays: Array) -> Array:
        self.asked.append(len(rays))
        found: Array = self.camera.img_from_cam(rays)
        return found


def test_pictures_are_redrawn_in_bands_without_a_seam() -> None:
    change = undistort(fisheye(), "camera")
    lens = CountingLens(change.lens)
    change = replace(change, lens=lens)
    photo = Image.fromarray(
        np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    )
    for picture in (photo, photo.convert("L")):
        banded = np.asarray(change.redraw(picture))
        # What is held besides the photo does not grow with its height.
        assert max(lens.asked) == 64 * WIDTH < HEIGHT * WIDTH
        assert np.array_equal(banded, np.asarray(change.redraw(picture, band=HEIGHT)))
        assert lens.asked.pop() == HEIGHT * WIDTH


def test_points_move_as_pixels_do() -> None:
    xy = np.array([[104.0, 73.0], [20.0, 30.0], [180.0, 140.0]])
    moved = undistort(fisheye(), "camera").move(xy)
    np.testing.assert_allclose(moved, fisheye_rays(xy) * FOCAL + CENTRE, atol=1e-3)


def test_lens_that_bends_inwards_is_magnified_until_no_border_is_blank() -> None:
    """Pincushion of order 6: a pinhole of the same focal length would see beyond the photo."""
    lens = (*FOCAL, *CENTRE, 0.1, 0, 0, 0, 0.05, 0, 0, 0)
    camera = pycolmap.Camera(model="FULL_OPENCV", params=lens, width=WIDTH, height=HEIGHT)
    white = Image.new("RGB", (WIDTH, HEIGHT), "white")
    found = undistort(camera, "camera")
    assert found.pinhole[0] > FOCAL[0]
    assert found.pinhole[0] / found.pinhole[1] == pytest.approx(FOCAL[0] / FOCAL[1])
    corners = np.array([[0.0, 0.0], [WIDTH, 0], [0, HEIGHT], [WIDTH, HEIGHT]])
    # The redrawn picture's corners lie inside the photo as taken: moving the photo's passes them.
    assert (np.abs(found.move(corners) - CENTRE) >= np.abs(corners - CENTRE) - 1e-6).all()
    assert np.asarray(found.redraw(white)).min() == 255


def test_panorama_is_refused() -> None:
    camera = pycolmap.Camera(model="EQUIRECTANGULAR", params=[200, 100], width=200, height=100)
    with pytest.raises(PosesError, match="camera model EQUIRECTANGULAR is not supported; cut"):
        undistort(camera, "camera")
