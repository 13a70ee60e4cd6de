"""Bringing photos: bytes kept, orientation kept, HEIC converted, broken files named."""

from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
import torch
from PIL import Image
from PIL.ExifTags import IFD, Base

from ovs3d.errors import SceneError
from ovs3d.intake.bring import Plan, bring_masks, bring_photos, photo_names, plan_photos
from ovs3d.intake.photo_files import list_photos
from ovs3d.params import load_scene_params
from ovs3d.photos.dataset import Photos, load_photo, load_seen, open_photos
from ovs3d.poses.lenses import lens_groups
from ovs3d.poses.sfm import reconstruct_poses
from tests.closure import ROOT
from tests.synthetic import SyntheticScene, make_scene, write_scene

CPU = torch.device("cpu")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """An empty folder for the user's photos."""
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


def plans_of(folder: Path, posed: bool = False) -> dict[Path, Plan]:
    return plan_photos(list_photos(folder), {}, {}, posed)


def bring(photos: Path, link: bool = False) -> Photos:
    """Bring all photos of a folder into one beside it."""
    images = photos.with_name(f"images of {photos.name}")
    bring_photos(plans_of(photos), images, link)
    return open_photos(images)


def noise(width: int = 160, height: int = 120, seed: int = 0) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def save_heic(pixels: np.ndarray, path: Path) -> None:
    """Save a picture as a phone does, with its focal length."""
    exif = Image.Exif()
    exif.get_ifd(IFD.Exif)[Base.FocalLength] = 4.25
    heif = pillow_heif.from_pillow(Image.fromarray(pixels))
    heif.save(path, quality=95, exif=exif.tobytes())


def turned_by_tag() -> Image.Exif:
    """Return the EXIF of a camera held sideways, which asks for a quarter turn clockwise."""
    exif = Image.Exif()
    exif[Base.Orientation] = 6
    return exif


def save_turned(pixels: np.ndarray, path: Path) -> None:
    """Save a picture as a camera held sideways does: turned, with a tag that says so."""
    turned = np.ascontiguousarray(np.rot90(pixels))
    Image.fromarray(turned).save(path, exif=turned_by_tag())


def test_photos_are_copied_byte_for_byte(scene_folder: Path) -> None:
    brought = bring(scene_folder / "images").paths
    originals = open_photos(scene_folder / "images").paths
    for path, original in zip(brought, originals, strict=True):
        assert (path.name, path.read_bytes()) == (original.name, original.read_bytes())


def test_linked_photos_take_no_space(scene_folder: Path) -> None:
    for path in bring(scene_folder / "images", link=True).paths:
        assert path.samefile(scene_folder / "images" / path.name)


def test_turned_photos_give_the_same_pixels_as_upright_ones(
    scene: SyntheticScene, scene_folder: Path, photos: Path
) -> None:
    for name, photo in zip(scene.cameras.names, scene.photos, strict=True):
        save_turned(photo.numpy(), photos / name)
    turned = bring(photos)
    upright = open_photos(scene_folder / "images")
    assert (turned.width, turned.height) == (upright.width, upright.height)
    for path, other in zip(turned.paths, upright.paths, strict=True):
        assert (load_photo(path, 1) == load_photo(other, 1)).all()


def test_turned_photos_give_the_same_poses_as_upright_ones(tmp_path: Path, photos: Path) -> None:
    scene = make_scene(8, 160, 120)
    write_scene(scene, tmp_path / "upright")
    for name, photo in zip(scene.cameras.names, scene.photos, strict=True):
        save_turned(photo.numpy(), photos / name)
    params = load_scene_params(ROOT / "params.yaml", "demo").stages.poses
    found = []
    for folder in (tmp_path / "upright/images", photos):
        reconstruct_poses(bring(folder), params, 0, tmp_path / "poses", CPU)
        found.append((tmp_path / "poses/cameras.json").read_bytes())
    assert found[0] == found[1]


def test_heic_becomes_jpeg_with_its_focal_length(scene: SyntheticScene, photos: Path) -> None:
    for view in range(2):
        save_heic(scene.photos[view].numpy(), photos / f"IMG_{view}.HEIC")
    brought = bring(photos)
    assert brought.names == ("IMG_0.jpg", "IMG_1.jpg")
    for view, path in enumerate(brought.paths):
        error = (load_photo(path, 1).float() - scene.photos[view].float()).abs().mean()
        assert error < 8
        with Image.open(path) as file:
            assert file.getexif().get_ifd(IFD.Exif)[Base.FocalLength] == pytest.approx(4.25)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".heic", ".webp"])
@pytest.mark.parametrize("height", [120, 160])
def test_photos_written_anew_are_of_the_same_lens(photos: Path, suffix: str, height: int) -> None:
    """Copied, converted, or, where only some photos lie, put on a canvas."""
    pillow_heif.register_heif_opener()
    lenses: list[dict[int, Any]] = [
        {},
        {Base.LensModel: "tele"},
        {Base.DigitalZoomRatio: 2.0},
        {Base.FocalLengthIn35mmFilm: 28},
    ]
    for number, lens in enumerate(lenses):
        exif = Image.Exif()
        exif.update({Base.Make: "maker", Base.Model: "model"})
        exif.get_ifd(IFD.Exif).update({Base.FocalLength: 4.25, Base.LensModel: "wide", **lens})
        noise(160, 120).save(photos / f"{number}.jpg", exif=exif)
        noise(280 - height, height).save(photos / f"{number}b{suffix}", exif=exif)
    assert lens_groups([*list_photos(photos), *bring(photos).paths]) == [0, 0, 1, 1, 2, 2, 3, 3] * 2


@pytest.mark.parametrize("name", ["a.heic", "a.jpg", "a.png"])
def test_broken_photo_is_named(photos: Path, name: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    if name.endswith("heic"):
        save_heic(pixels, photos / name)
    else:
        Image.fromarray(pixels).save(photos / name)
    content = (photos / name).read_bytes()
    (photos / name).write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(SceneError, match=rf"{name}: cannot be read as ") as raised:
        bring(photos)
    assert "\n" not in str(raised.value)


def test_sixteen_bits_of_grey_survive_being_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.full((64, 80), 100 * 257, dtype=np.uint16)).save(path)
    plans = plan_photos([path], {path: None}, {}, True)
    bring_photos(plans, tmp_path / "images", False)
    assert (load_photo(tmp_path / "images/a.png", 1) == 100).all()


def test_photos_that_would_get_one_name_are_refused() -> None:
    paths = [Path("p/IMG_1.HEIC"), Path("p/IMG_1.jpg")]
    with pytest.raises(SceneError, match=r"IMG_1\.jpg: would become IMG_1\.jpg, as IMG_1\.HEIC"):
        photo_names(paths)


def test_subfolders_go_into_names_where_names_alone_are_not_unique() -> None:
    paths = [Path("p/left/1.jpg"), Path("p/right/1.jpg")]
    assert list(photo_names(paths).values()) == ["left_1.jpg", "right_1.jpg"]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF", "BMP", "JPEG2000"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", "", ".jpg_large", ".JPE"])
def test_content_counts_and_not_the_name(photos: Path, kind: str, suffix: str) -> None:
    pillow_heif.register_heif_opener()
    noise().save(photos / f"IMG_1{suffix}", kind)
    (path,) = bring(photos).paths
    with Image.open(path) as file:
        assert file.format in ("JPEG", "PNG")
        assert (path.name.startswith("IMG_1"), file.size) == (True, (160, 120))
    expected = np.asarray(noise(), dtype=float)
    assert np.abs(load_photo(path, 1).numpy() - expected).mean() < 8


def test_alpha_of_another_format_survives(photos: Path) -> None:
    photo = noise()
    photo.putalpha(Image.linear_gradient("L").resize(photo.size))
    photo.save(photos / "a.webp", lossless=True)
    (path,) = bring(photos).paths
    seen = load_seen(path, 1)
    assert path.name == "a.png"
    assert seen is not None
    assert torch.equal(seen, torch.from_numpy(np.asarray(photo.getchannel("A")) >= 128))


@pytest.mark.parametrize(
    ("name", "options", "size"),
    [
        ("a.png", {"dpi": (72, 144)}, (320, 120)),
        ("a.png", {"dpi": (144, 72)}, (160, 240)),
        ("a.png", {"dpi": (72, 72)}, (160, 120)),
        ("a.jpg", {"dpi": (100, 150)}, (240, 120)),
        ("a.png", {"dpi": (1, 72)}, (160, 120)),
    ],
)
def test_pixels_that_are_not_square_are_stretched(
    photos: Path, name: str, options: dict[str, Any], size: tuple[int, int]
) -> None:
    noise().save(photos / name, **options)
    brought = bring(photos)
    assert (brought.width, brought.height) == size
    # Poses were found for the pixels as they are.
    (plan,) = plans_of(photos, posed=True).values()
    assert plan.copied


def test_jfif_tells_the_shape_of_pixels(tmp_path: Path) -> None:
    noise().save(tmp_path / "a.jpg")
    content = bytearray((tmp_path / "a.jpg").read_bytes())
    at = content.index(b"JFIF\0") + 7
    # No unit, so the densities are the sides of a pixel.
    content[at : at + 5] = bytes((0, 0, 2, 0, 1))
    (tmp_path / "a.jpg").write_bytes(content)
    (plan,) = plans_of(tmp_path).values()
    assert (plan.size, plan.stretched) == ((320, 120), True)


def test_upright_and_lying_photos_share_a_square(tmp_path: Path, photos: Path) -> None:
    noise(160, 120).save(photos / "a.png")
    noise(120, 160).save(photos / "b.png")
    noise(160, 120).save(photos / "c.png", exif=turned_by_tag())
    brought = bring(photos)
    assert (brought.width, brought.height) == (160, 160)
    inner = [(slice(20, 140), slice(None)), (slice(None), slice(20, 140))]
    turned = np.rot90(np.asarray(noise(160, 120)), -1)
    expected = [np.asarray(noise(160, 120)), np.asarray(noise(120, 160)), turned]
    for path, rows, pixels in zip(brought.paths, (*inner, inner[1]), expected, strict=True):
        seen = load_seen(path, 1)
        assert seen is not None
        assert int(seen.sum()) == 160 * 120
        assert seen[rows].all()
        assert np.array_equal(load_photo(path, 1)[rows].numpy(), pixels)
    # Masks go the same way.
    (tmp_path / "masks/1").mkdir(parents=True)
    Image.new("L", (120, 160), 255).save(tmp_path / "masks/1/wall.png")
    bring_masks(tmp_path / "masks", tuple(plans_of(photos).values()), tmp_path / "moved")
    with Image.open(tmp_path / "moved/1/wall.png") as file:
        mask = np.asarray(file) == 255
    assert mask.sum() == 160 * 120
    assert mask[inner[1]].all()


def test_sizes_that_are_not_turned_ones_stay_as_they_are(tmp_path: Path) -> None:
    noise(160, 120).save(tmp_path / "a.png")
    noise(120, 168).save(tmp_path / "b.png")
    assert {plan.canvas for plan in plans_of(tmp_path).values()} == {None}


def test_a_mask_beside_a_photo_becomes_its_alpha(tmp_path: Path, photos: Path) -> None:
    photo = photos / "a.jpg"
    noise().save(photo, quality=95)
    mask = Image.new("L", (160, 120), 255)
    mask.paste(0, (30, 40, 50, 80))
    mask.save(tmp_path / "mask.png")
    plans = plan_photos([photo], {}, {photo: tmp_path / "mask.png"}, True)
    bring_photos(plans, tmp_path / "images", False)
    seen = load_seen(tmp_path / "images/a.png", 1)
    assert seen is not None
    assert int((~seen).sum()) == 20 * 40
    assert not seen[40:80, 30:50].any()
    Image.new("L", (160, 120)).save(tmp_path / "mask.png")
    with pytest.raises(SceneError, match=r"a\.jpg: its alpha or its mask leaves out every pixel"):
        bring_photos(plans, tmp_path / "again", False)


def test_masks_can_be_written_where_their_source_cannot(tmp_path: Path) -> None:
    source = tmp_path / "source/0"
    source.mkdir(parents=True)
    Image.new("L", (160, 120)).save(source / "wall.png")
    (source / "._wall.png").write_bytes(b"")
    (source / "wall.png").chmod(0o444)
    source.chmod(0o555)
    bring_masks(source.parent, (), tmp_path / "copy")
    source.chmod(0o755)
    assert (tmp_path / "copy/0").stat().st_mode & 0o200
    assert [path.name for path in (tmp_path / "copy/0").iterdir()] == ["wall.png"]
    assert (tmp_path / "copy/0/wall.png").stat().st_mode & 0o200
