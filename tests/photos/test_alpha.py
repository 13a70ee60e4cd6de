"""Photos with alpha: what it leaves out is white, found by nobody and trained on by nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ovs3d.distill.pixel_bank import PixelBank
from ovs3d.distill.token_bank import TokenBank
from ovs3d.errors import SceneError
from ovs3d.evaluation.quality import psnr, ssim
from ovs3d.params import load_scene_params
from ovs3d.photos.dataset import load_photo, load_seen, open_photos, usable_pixels
from ovs3d.photos.picture_files import has_alpha
from ovs3d.poses.sfm import reconstruct_poses
from ovs3d.reconstruct.rays import load_rays
from tests.closure import ROOT
from tests.synthetic import SyntheticScene, make_scene

CPU = torch.device("cpu")
HOLE = (slice(10, 30), slice(20, 60))


def colours() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, (64, 80, 3), dtype=np.uint8)


def save(path: Path, mode: str) -> np.ndarray:
    """Save a picture with a hole; return the RGB values that it has outside of it."""
    rgb = colours()
    alpha = np.full(rgb.shape[:2], 255, np.uint8)
    alpha[HOLE] = 0
    if mode == "RGBA":
        Image.fromarray(np.dstack([rgb, alpha])).save(path)
    elif mode == "LA":
        Image.fromarray(np.dstack([rgb[..., 0], alpha])).save(path)
        rgb = rgb[..., :1].repeat(3, axis=2)
    elif mode == "P":
        index = (rgb[..., 0] // 64).astype(np.uint8)
        index[HOLE] = 7
        picture = Image.fromarray(index).convert("P")
        palette = [c for i in range(256) for c in (20 * (i % 12), 0, 9)]
        picture.putpalette(palette)
        picture.save(path, transparency=bytes([255] * 7 + [0]))
        rgb = np.stack([20 * index, 0 * index, 0 * index + 9], axis=2)
    elif mode == "RGB with a key":
        rgb[HOLE] = (255, 0, 255)
        Image.fromarray(rgb).save(path, transparency=(255, 0, 255))
    else:
        deep = rgb[..., 0].astype(np.uint16) * 257
        deep[HOLE] = 65535
        Image.fromarray(deep).save(path, transparency=65535)
        rgb = rgb[..., :1].repeat(3, axis=2)
    return rgb


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB with a key", "I;16 with a key"])
def test_every_form_of_transparency_is_left_out(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.png"
    rgb = save(path, mode)
    photo, seen = load_photo(path, 1).numpy(), load_seen(path, 1)
    assert has_alpha(path)
    assert seen is not None
    assert not seen[HOLE].any()
    assert int((~seen).sum()) == 20 * 40
    assert (photo[HOLE] == 255).all()
    assert np.array_equal(photo[seen.numpy()], rgb[seen.numpy()])


def test_half_transparent_pixels_keep_their_own_colour(tmp_path: Path) -> None:
    alpha = np.full((64, 80), 255, np.uint8)
    alpha[0, :2] = (127, 128)
    Image.fromarray(np.dstack([colours(), alpha])).save(tmp_path / "a.png")
    photo, seen = load_photo(tmp_path / "a.png", 1), load_seen(tmp_path / "a.png", 1)
    assert seen is not None
    assert seen[0, :2].tolist() == [False, True]
    assert photo[0, 0].tolist() == [255, 255, 255]
    assert photo[0, 1].tolist() == colours()[0, 1].tolist()


def test_a_pixel_counts_if_all_that_it_is_made_of_does(tmp_path: Path) -> None:
    save(tmp_path / "a.png", "RGBA")
    seen = load_seen(tmp_path / "a.png", 4)
    assert seen is not None
    expected = torch.ones(16, 20, dtype=torch.bool)
    # Rows 10 to 29 touch blocks 2 to 7, columns 20 to 59 blocks 5 to 14.
    expected[2:8, 5:15] = False
    assert torch.equal(seen, expected)


def test_alpha_that_leaves_nothing_out_changes_nothing(tmp_path: Path) -> None:
    rgb = colours()
    Image.fromarray(rgb).save(tmp_path / "a.png")
    Image.fromarray(rgb).convert("RGBA").save(tmp_path / "b.png")
    assert load_seen(tmp_path / "b.png", 1) is None
    assert torch.equal(load_photo(tmp_path / "a.png", 2), load_photo(tmp_path / "b.png", 2))
    assert usable_pixels(open_photos(tmp_path), (0, 1), 1, CPU) is None


def test_a_photo_that_shows_nothing_is_named(tmp_path: Path) -> None:
    Image.new("RGBA", (80, 64)).save(tmp_path / "a.png")
    with pytest.raises(SceneError, match=r"a\.png: its alpha leaves out every pixel"):
        load_seen(tmp_path / "a.png", 1)


@pytest.fixture
def holed(scene: SyntheticScene, tmp_path: Path) -> Path:
    """The synthetic photos, the second with magenta below a hole."""
    for view, (name, photo) in enumerate(zip(scene.cameras.names, scene.photos, strict=True)):
        picture = Image.fromarray(photo.numpy())
        if view == 1:
            picture.paste((255, 0, 255), (20, 10, 60, 30))
            alpha = Image.new("L", picture.size, 255)
            alpha.paste(0, (20, 10, 60, 30))
            picture.putalpha(alpha)
        picture.save(tmp_path / name)
    return tmp_path


def test_no_ray_passes_through_what_is_left_out(scene: SyntheticScene, holed: Path) -> None:
    photos = open_photos(holed)
    pool = load_rays(photos, scene.cameras, (0, 1), 1, CPU)
    pixels = photos.width * photos.height
    assert len(pool) == 2 * pixels - 20 * 40
    _, directions, target, _ = pool.batch(torch.arange(len(pool)))
    magenta = (target - torch.tensor([1.0, 0.0, 1.0])).abs().sum(dim=1) < 0.1
    assert not magenta.any()
    # Those of the first view come first and are all there.
    assert torch.equal(directions[:pixels], pool.directions[:pixels])
    assert torch.equal(target[:pixels] * 255, pool.colors[:pixels].float())


def test_distillation_draws_no_pixel_that_is_left_out(holed: Path) -> None:
    usable = usable_pixels(open_photos(holed), (0, 1), 1, CPU)
    assert usable is not None
    bank = object.__new__(PixelBank)
    object.__setattr__(bank, "usable", usable)
    drawn = bank.draw(20000, torch.Generator().manual_seed(0))
    rows, columns = (drawn - 96 * 72) // 96, (drawn - 96 * 72) % 96
    inside = (rows >= 10) & (rows < 30) & (columns >= 20) & (columns < 60)
    assert not inside.any()
    assert set(drawn.tolist()) <= set(usable.tolist())


def test_tokens_that_are_left_out_have_stand_ins_of_their_view() -> None:
    none: object = None
    stand_ins = torch.arange(2 * 4 * 4)
    stand_ins[5] = 4
    bank = TokenBank(none, torch.zeros(2, 4, 4, 3), stand_ins)  # type: ignore[arg-type]
    drawn = bank.patch_index(50, 3, torch.Generator().manual_seed(0))
    assert drawn.shape == (50, 9)
    assert not (drawn == 5).any()
    assert (drawn == 4).any()


def test_scores_do_not_count_what_is_left_out() -> None:
    target = torch.rand(20, 20, 3, generator=torch.Generator().manual_seed(0))
    rendered, seen = target.clone(), torch.ones(20, 20, dtype=torch.bool)
    rendered[5:9, 5:9] = 0
    seen[5:9, 5:9] = False
    assert psnr(rendered, target) < 30
    assert psnr(rendered, target, seen) == 100
    assert ssim(rendered, target, seen) == pytest.approx(1)
    rendered[0, 0] += 0.5
    count = 400 - 16
    expected = -10 * np.log10(0.25 / count)
    assert psnr(rendered, target, seen) == pytest.approx(expected, abs=1e-3)


def test_colmap_finds_nothing_in_what_is_left_out(tmp_path: Path) -> None:
    """An erased pattern that stays at its place in all photos would pull the cameras together."""
    scene = make_scene(8, 160, 120)
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (12, 8, 3), dtype=np.uint8))
    (tmp_path / "images").mkdir()
    for name, photo in zip(scene.cameras.names, scene.photos, strict=True):
        picture, alpha = Image.fromarray(photo.numpy()), Image.new("L", (160, 120), 255)
        picture.paste(noise.resize((64, 96), Image.Resampling.NEAREST), (10, 10))
        alpha.paste(0, (10, 10, 74, 106))
        picture.putalpha(alpha)
        picture.save(tmp_path / "images" / name)
    params = load_scene_params(ROOT / "params.yaml", "demo").stages.poses
    params = params.model_copy(update={"max_features": 1024})
    out = tmp_path / "poses"
    report = reconstruct_poses(open_photos(tmp_path / "images"), params, 0, out, CPU)
    assert report.missing == ()
