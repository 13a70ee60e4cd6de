"""Stage poses on the synthetic world: accuracy, repeatability, and sets of photos that fail."""

import json
import shutil
from pathlib import Path

import numpy as np
import pycolmap
import pytest
import torch
from PIL import ExifTags, Image

from ovs3d.errors import PosesError, SceneError
from ovs3d.photos.dataset import open_photos
from ovs3d.poses.lenses import lens_groups
from ovs3d.poses.params import PosesParams
from ovs3d.poses.sfm import PosesReport, reconstruct_poses
from ovs3d.space.cameras import load_cameras
from stages._run import run
from stages.poses import main
from tests.pose_errors import pose_errors
from tests.synthetic import SyntheticScene, make_scene, write_scene

CPU = torch.device("cpu")

PARAMS = PosesParams(
    camera_model="SIMPLE_RADIAL",
    matching="auto",
    max_features=2048,
    first_octave=-1,
    max_image_size=1600,
    min_registered=0.5,
    given="check",
)
REPO = Path(__file__).parents[2]
VIEWS = 12


@pytest.fixture(scope="module")
def world() -> SyntheticScene:
    """Twelve 160 x 120 views, about the least that COLMAP can work with."""
    return make_scene(VIEWS, 160, 120)


@pytest.fixture(scope="module")
def images(world: SyntheticScene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_scene(world, folder)
    return folder / "images"


@pytest.fixture(scope="module")
def poses(images: Path) -> tuple[Path, PosesReport]:
    """The stage's folder and report."""
    out = images.parent / "poses"
    return out, reconstruct_poses(open_photos(images), PARAMS, 0, out, CPU)


@pytest.fixture
def copy(images: Path, tmp_path: Path) -> Path:
    """A copy of the photos that a test may spoil."""
    folder = tmp_path / "images"
    shutil.copytree(images, folder)
    return folder


def save_noise(path: Path, seed: int) -> None:
    """Save a photo of nothing: noise that matches no other photo."""
    noise = np.random.default_rng(seed).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of all files below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_all_photos_are_placed_where_they_were_taken(
    world: SyntheticScene, poses: tuple[Path, PosesReport]
) -> None:
    out, report = poses
    cameras = load_cameras(out / "cameras.json")
    assert report.missing == ()
    assert report.error < 1.0
    assert cameras.views == tuple(range(VIEWS))
    assert cameras.names == world.cameras.names
    assert (cameras.width, cameras.height) == (160, 120)
    rotations, positions = pose_errors(
        cameras.world_from_camera.numpy(), world.cameras.world_from_camera.numpy()
    )
    assert np.median(rotations) < 0.3
    assert np.median(positions) < 0.01
    assert cameras.intrinsics[0, 0].item() == pytest.approx(0.95 * 160, rel=0.01)


def test_photos_of_several_focal_lengths_have_several_cameras(tmp_path: Path) -> None:
    """Every third photo of the world has the same one, as its EXIF says."""
    world = make_scene(VIEWS, 160, 120, zoom=0.15)
    write_scene(world, tmp_path)
    photos = open_photos(tmp_path / "images")
    truth = world.cameras.intrinsics[:, 0]
    for path, focal in zip(photos.paths, truth.tolist(), strict=True):
        exif = Image.Exif()
        exif[ExifTags.Base.Make] = "maker"
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLength] = round(focal / 40, 2)
        Image.open(path).save(path, exif=exif)
    assert lens_groups(photos.paths) == [0, 1, 2] * (VIEWS // 3)
    report = reconstruct_poses(photos, PARAMS, 0, tmp_path / "poses", CPU)
    cameras = load_cameras(tmp_path / "poses" / "cameras.json")
    assert report.missing == ()
    found = cameras.intrinsics[:, 0]
    assert len(found.unique()) == 3
    assert torch.allclose(found, truth, rtol=0.03)
    assert report.focal == (found.min().item(), found.max().item())


def test_what_exif_does_not_tell_is_one_camera(images: Path) -> None:
    assert set(lens_groups(open_photos(images).paths)) == {0}


def test_unit_scene_holds_the_content_between_near_and_far(
    world: SyntheticScene, poses: tuple[Path, PosesReport]
) -> None:
    cameras = load_cameras(poses[0] / "cameras.json")
    found, truth = (c.world_from_camera[:, :, 3].numpy() for c in (cameras, world.cameras))
    assert np.allclose(found.mean(axis=0), 0, atol=1e-9)
    scale = np.ptp(found, axis=0).max() / np.ptp(truth, axis=0).max()
    depths = world.depths.numpy() * scale
    assert cameras.near >= 1
    assert ((depths >= cameras.near) & (depths <= cameras.far)).mean() > 0.99
    assert (cameras.points_min < cameras.points_max).all()
    assert cameras.points_min[2] >= 1


def test_two_runs_give_the_same_bytes(images: Path, poses: tuple[Path, PosesReport]) -> None:
    again = images.parent / "again"
    reconstruct_poses(open_photos(images), PARAMS, 0, again, CPU)
    first, second = contents(poses[0]), contents(again)
    assert {"cameras.json", "sfm/transform.json", "overview.png", "sfm/images.bin"} <= first.keys()
    assert first == second


def test_transform_takes_the_colmap_model_to_the_unit_scene(
    poses: tuple[Path, PosesReport],
) -> None:
    cameras = load_cameras(poses[0] / "cameras.json")
    transform = json.loads((poses[0] / "sfm" / "transform.json").read_text())
    model = pycolmap.Reconstruction(poses[0] / "sfm")
    names = {image.name: image for image in model.images.values()}
    centres = np.stack([names[name].projection_center() for name in cameras.names])
    moved = transform["scale"] * centres @ np.array(transform["rotation"]).T
    moved += transform["translation"]
    assert np.allclose(moved, cameras.world_from_camera[:, :, 3].numpy())


def test_names_with_spaces_and_turned_photos_are_placed(
    world: SyntheticScene, copy: Path, tmp_path: Path
) -> None:
    for view, path in enumerate(sorted(copy.iterdir())):
        exif = Image.Exif()
        photo = Image.open(path).copy()
        if view % 2:
            # Stored lying on its side, with the tag that says how to turn it back.
            exif[0x0112] = 6
            photo = photo.transpose(Image.Transpose.ROTATE_90)
        photo.save(copy / f"holiday photo {view:02d}.png", exif=exif)
        path.unlink()
    report = reconstruct_poses(open_photos(copy), PARAMS, 0, tmp_path / "poses", CPU)
    cameras = load_cameras(tmp_path / "poses" / "cameras.json")
    assert report.missing == ()
    assert cameras.names[3] == "holiday photo 03.png"
    truth = world.cameras.world_from_camera.numpy()
    _, positions = pose_errors(cameras.world_from_camera.numpy(), truth)
    assert np.median(positions) < 0.01


def test_photos_of_another_format_than_their_names_say_are_placed(
    copy: Path, tmp_path: Path
) -> None:
    """COLMAP cannot read GIF, whatever its name: the first photo and a later one."""
    for view in (0, 5):
        with Image.open(copy / f"{view:03d}.png") as file:
            photo = file.quantize(256)
        photo.save(copy / f"{view:03d}.png", format="gif")
    report = reconstruct_poses(open_photos(copy), PARAMS, 0, tmp_path / "poses", CPU)
    assert report.missing == ()


def test_stray_photos_are_reported_and_left_out(copy: Path, tmp_path: Path) -> None:
    save_noise(copy / "000a.png", seed=0)
    report = reconstruct_poses(open_photos(copy), PARAMS, 0, tmp_path / "poses", CPU)
    cameras = load_cameras(tmp_path / "poses" / "cameras.json")
    assert report.missing == ("000a.png",)
    assert cameras.views == (0, *range(2, VIEWS + 1))
    assert report.rows()["photos placed"] == "12 of 13"


def test_photos_of_two_places_give_the_larger_model(copy: Path, tmp_path: Path) -> None:
    other = make_scene(views=7, width=160, height=120, seed=1)
    write_scene(other, tmp_path / "other")
    for path in (tmp_path / "other" / "images").iterdir():
        # Sorted first, so that the larger model is not the first one found by its order.
        path.rename(copy / f"0000-{path.name}")
    report = reconstruct_poses(open_photos(copy), PARAMS, 0, tmp_path / "poses", CPU)
    assert len(report.missing) == 7
    assert all(name.startswith("0000-") for name in report.missing)


def test_too_few_placed_photos_are_named_with_advice(copy: Path, tmp_path: Path) -> None:
    for seed in range(VIEWS + 1):
        save_noise(copy / f"stray {seed:02d}.png", seed)
    message = (
        r"images: COLMAP placed 12 of 25 photos, but poses\.min_registered asks for 50%; "
        r"not placed: stray 00\.png, .* and 7 more; add sharp photos .*poses\.max_features"
    )
    with pytest.raises(PosesError, match=message) as raised:
        reconstruct_poses(open_photos(copy), PARAMS, 0, tmp_path / "poses", CPU)
    assert "\n" not in str(raised.value)


def test_failure_keeps_the_previous_output(tmp_path: Path) -> None:
    """Photos without any texture: SIFT finds nothing at all."""
    (tmp_path / "images").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (160, 120), "gray").save(tmp_path / "images" / name)
    (tmp_path / "poses").mkdir()
    (tmp_path / "poses" / "cameras.json").write_text("before")
    with pytest.raises(PosesError, match=r"placed 0 of 3 photos"):
        reconstruct_poses(open_photos(tmp_path / "images"), PARAMS, 0, tmp_path / "poses", CPU)
    assert contents(tmp_path / "poses") == {"cameras.json": b"before"}


@pytest.mark.parametrize("count", [1, 2])
def test_hardly_any_photos_are_no_scene(images: Path, tmp_path: Path, count: int) -> None:
    (tmp_path / "images").mkdir()
    for view in range(count):
        # The same photo again has no parallax.
        shutil.copy(images / "000.png", tmp_path / "images" / f"{view}.png")
    with pytest.raises(PosesError, match=rf"placed 0 of {count} photos"):
        reconstruct_poses(open_photos(tmp_path / "images"), PARAMS, 0, tmp_path / "poses", CPU)


def test_cut_off_photo_is_named(copy: Path, tmp_path: Path) -> None:
    path = copy / "005.png"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(SceneError, match=r"005\.png: cannot be read as an image"):
        reconstruct_poses(open_photos(copy), PARAMS, 0, tmp_path / "poses", CPU)


def test_stage_writes_the_folder_and_tells_mistakes_in_one_line(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(REPO)
    out = tmp_path / "poses"
    assert run(main, None, ("images", "out"), ("demo", str(images), str(out))) == 0
    shown = capfd.readouterr()
    assert "12 of 12" in shown.out
    assert "decode: 12/12" in shown.err
    assert len(load_cameras(out / "cameras.json")) == VIEWS
    assert run(main, None, ("images", "out"), ("demo", str(tmp_path), str(out))) == 2
    # COLMAP's own log would show here too.
    assert capfd.readouterr().err.count("\n") == 1
