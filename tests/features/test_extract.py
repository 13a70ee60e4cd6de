import shutil
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import open_clip
import PIL
import pytest
import timm
import torch

from ovs3d import device
from ovs3d.errors import ParamsError, SceneError
from ovs3d.features.clip import ClipEncoder, load_clip
from ovs3d.features.clip_params import ClipFeaturesParams
from ovs3d.features.dino import load_dino
from ovs3d.features.dino_params import DinoFeaturesParams
from ovs3d.features.extract import in_order
from ovs3d.features.extract_clip import (
    ClipWork,
    evenly_spaced,
    extract_clip,
    scene_windows,
    views_with_features,
)
from ovs3d.features.extract_dino import DinoWork, extract_dino
from ovs3d.features.pictures import save_token_picture, token_colors
from ovs3d.features.store import FeatureStore
from ovs3d.features.token_store import TokenStore
from ovs3d.features.view_store import ViewStore
from ovs3d.features.window_store import WindowStore
from ovs3d.files import digest
from ovs3d.identity import code_digest
from ovs3d.photos.dataset import Photos, load_photo, open_photos
from tests.devices import elsewhere
from tests.features.test_store import contents
from tests.synthetic import make_scene, write_scene

CPU = torch.device("cpu")
SEED = 7


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Photos:
    """Four photos of 96 x 72 pixels."""
    folder = tmp_path_factory.mktemp("scene")
    write_scene(make_scene(views=4, width=96, height=72), folder)
    return open_photos(folder / "images")


class Killed(BaseException):
    """Stands for whatever ends a run without warning."""


def fail_after(views: int, method: Any) -> Any:
    """Return `method`, ending the process, as it were, after some calls."""
    calls = iter(range(views))

    def wrapped(*arguments: Any) -> Any:
        if next(calls, None) is None:
            raise Killed
        return method(*arguments)

    return wrapped


def test_extract_clip_embeds_every_window_of_the_photo(
    photos: Photos, clip_params: ClipFeaturesParams, tmp_path: Path
) -> None:
    report = extract_clip(photos, clip_params, SEED, CPU, tmp_path / "clip.zarr")
    store = FeatureStore.open(tmp_path / "clip.zarr")
    boxes = scene_windows((48, 36), clip_params, SEED, digest(photos.paths[2]))
    np.testing.assert_array_equal(store._boxes[2], boxes)
    encoder = load_clip(clip_params.model, clip_params.weights, CPU)
    photo = load_photo(photos.paths[2], 1)
    expected = encoder.encode_windows(photo, torch.from_numpy(boxes).long() * 2)
    np.testing.assert_allclose(store.embeddings(2), expected, atol=1e-3)
    assert (report.views, report.resumed, report.items, report.dim) == (4, 0, len(boxes), 16)
    assert report.dense_bytes == 4 * 2 * 48 * 36 * 16 * 4
    assert report.store_bytes == sum(map(len, contents(tmp_path).values()))
    assert report.rows()["per view"] == f"{len(boxes)} x 16"


def test_extract_clip_can_crop_the_working_image(
    photos: Photos, clip_params: ClipFeaturesParams, tmp_path: Path
) -> None:
    working = clip_params.model_copy(update={"crop_from": "working"})
    extract_clip(photos, working, SEED, CPU, tmp_path / "clip.zarr")
    store = FeatureStore.open(tmp_path / "clip.zarr")
    encoder = load_clip(clip_params.model, clip_params.weights, CPU)
    boxes = torch.from_numpy(store._boxes[1])
    expected = encoder.encode_windows(load_photo(photos.paths[1], 2), boxes)
    np.testing.assert_allclose(store.embeddings(1), expected, atol=1e-3)


@pytest.mark.parametrize(("turn", "upright"), [(270, 0), ("auto", 270)])
def test_extract_clip_can_turn_windows(
    photos: Photos, clip_params: ClipFeaturesParams, tmp_path: Path, turn: object, upright: int
) -> None:
    on_their_side = clip_params.model_copy(update={"turn": turn})
    extract_clip(photos, on_their_side, SEED, CPU, tmp_path / "clip.zarr", upright=upright)
    store = FeatureStore.open(tmp_path / "clip.zarr")
    encoder = load_clip(clip_params.model, clip_params.weights, CPU)
    boxes = torch.from_numpy(store._boxes[1]).long() * 2
    expected = encoder.encode_windows(load_photo(photos.paths[1], 1), boxes, 270)
    np.testing.assert_allclose(store.embeddings(1), expected, atol=1e-3)


def test_features_of_a_photo_do_not_depend_on_the_others(
    photos: Photos, clip_params: ClipFeaturesParams, tmp_path: Path
) -> None:
    extract_clip(photos, clip_params, SEED, CPU, tmp_path / "all.zarr")
    few = Photos(photos.paths[2:], photos.width, photos.height)
    extract_clip(few, clip_params, SEED, CPU, tmp_path / "few.zarr")
    every, last = (FeatureStore.open(tmp_path / f"{name}.zarr") for name in ("all", "few"))
    np.testing.assert_array_equal(every._boxes[2:], last._boxes)
    for view in (0, 1):
        np.testing.assert_array_equal(every.embeddings(view + 2), last.embeddings(view))
    assert not np.array_equal(every._boxes[0], every._boxes[1])


def test_share_of_views_is_extracted_evenly_spaced(
    photos: Photos, clip_params: ClipFeaturesParams, tmp_path: Path
) -> None:
    half = clip_params.model_copy(update={"views": 0.5})
    extract_clip(photos, half, SEED, CPU, tmp_path / "clip.zarr")
    assert FeatureStore.open(tmp_path / "clip.zarr").views == (1, 3)


@pytest.mark.parametrize(
    ("count", "share", "views"),
    [
        (4, 1.0, (0, 1, 2, 3)),
        (10, 0.3, (1, 5, 8)),
        (30, 0.1, (5, 15, 25)),
        (3, 0.01, (1,)),
    ],
)
def test_evenly_spaced(count: int, share: float, views: tuple[int, ...]) -> None:
    assert evenly_spaced(count, share) == views


@pytest.mark.parametrize(
    ("train_views", "share", "views"),
    [
        pytest.param((0, 2, 3, 5), 0.5, (2, 5), id="half of those trained on"),
        pytest.param((3, 4, 5), 0.9, (3, 4, 5), id="nearly all of those trained on"),
        pytest.param((0, 2, 3, 5), 1.0, (0, 1, 2, 3, 4, 5), id="all, test photos too"),
        pytest.param((4,), 0.01, (4,), id="at least one"),
    ],
)
def test_share_is_one_of_the_training_views(
    train_views: tuple[int, ...], share: float, views: tuple[int, ...]
) -> None:
    assert views_with_features(6, train_views, share) == views


def check_that_it_continues(
    extract: Any, store: type[ViewStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run once to the end and once killed after two views and continued."""
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    extract(whole / "store.zarr")
    with monkeypatch.context() as patch:
        patch.setattr(store, "write", fail_after(2, store.write))
        with pytest.raises(Killed):
            extract(killed / "store.zarr")
    array = next(path for path in (killed / "store.zarr").iterdir() if path.is_dir())
    (array / "c.2.0.12ab.partial").write_bytes(b"half a shard")
    assert extract(killed / "store.zarr").resumed == 2
    assert contents(killed) == contents(whole)


def test_killed_clip_extraction_continues_to_the_same_bytes(
    photos: Photos,
    clip_params: ClipFeaturesParams,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def extract(out: Path) -> Any:
        return extract_clip(photos, clip_params, SEED, CPU, out)

    check_that_it_continues(extract, WindowStore, tmp_path, monkeypatch)


def test_killed_dino_extraction_continues_to_the_same_bytes(
    photos: Photos,
    dino_params: DinoFeaturesParams,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def extract(out: Path) -> Any:
        return extract_dino(photos, dino_params, CPU, out)

    check_that_it_continues(extract, TokenStore, tmp_path, monkeypatch)


def test_finished_extraction_is_not_repeated(
    photos: Photos,
    clip_params: ClipFeaturesParams,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    extract_clip(photos, clip_params, SEED, CPU, tmp_path / "clip.zarr")
    monkeypatch.setattr(ClipEncoder, "encode_windows", fail_after(0, None))
    report = extract_clip(photos, clip_params, SEED, CPU, tmp_path / "clip.zarr")
    assert report.resumed == 4
    with pytest.raises(Killed):
        extract_clip(photos, clip_params, SEED + 1, CPU, tmp_path / "clip.zarr")


def test_error_in_one_thread_ends_the_extraction(
    photos: Photos,
    clip_params: ClipFeaturesParams,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "images").mkdir()
    for path in photos.paths:
        shutil.copy(path, tmp_path / "images")
    cut = tmp_path / "images" / photos.names[2]
    cut.write_bytes(cut.read_bytes()[:3000])
    threads = torch.get_num_threads()
    with pytest.raises(SceneError, match=photos.names[2]):
        extract_clip(open_photos(cut.parent), clip_params, SEED, CPU, tmp_path / "clip.zarr")
    assert torch.get_num_threads() == threads
    cut.write_bytes(photos.paths[2].read_bytes())
    monkeypatch.setattr(ClipEncoder, "encode_windows", fail_after(1, ClipEncoder.encode_windows))
    with pytest.raises(Killed):
        extract_clip(open_photos(cut.parent), clip_params, SEED, CPU, tmp_path / "clip.zarr")


def test_store_of_another_precision_is_started_over(
    photos: Photos,
    clip_params: ClipFeaturesParams,
    dino_params: DinoFeaturesParams,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clip_store, dino_store = tmp_path / "clip.zarr", tmp_path / "dino.zarr"
    first = extract_clip(photos, clip_params, SEED, CPU, clip_store)
    extract_dino(photos, dino_params, CPU, dino_store)
    assert first.precision == "float32"
    monkeypatch.setattr(device, "_fast_types", lambda _: (torch.bfloat16,))
    second = extract_clip(photos, clip_params, SEED, CPU, clip_store)
    assert (second.precision, second.resumed) == ("bfloat16", 0)
    assert extract_dino(photos, dino_params, CPU, dino_store).resumed == 0
    assert FeatureStore.open(clip_store).attributes["precision"] == "bfloat16"
    assert TokenStore.open(dino_store).attributes["precision"] == "bfloat16"


@pytest.mark.parametrize("package", [PIL, open_clip, timm, torch])
def test_store_of_another_version_of_a_package_is_started_over(
    photos: Photos,
    clip_params: ClipFeaturesParams,
    dino_params: DinoFeaturesParams,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    package: ModuleType,
) -> None:
    few = Photos(photos.paths[:1], photos.width, photos.height)
    resumed = []
    for version in (package.__version__, package.__version__, "99.0.0"):
        monkeypatch.setattr(package, "__version__", version)
        clip_report = extract_clip(few, clip_params, SEED, CPU, tmp_path / "clip.zarr")
        dino_report = extract_dino(few, dino_params, CPU, tmp_path / "dino.zarr")
        resumed.append((clip_report.resumed, dino_report.resumed))
    assert resumed == [(0, 0), (1, 1), (0, 1 if package is open_clip else 0)]


def test_fingerprints_tell_kinds_of_devices_apart(
    photos: Photos, clip_params: ClipFeaturesParams, dino_params: DinoFeaturesParams
) -> None:
    for work in (ClipWork(photos, clip_params, SEED, (0, 1), 0), DinoWork(photos, dino_params)):
        here = work.prepare(CPU).attributes
        with elsewhere() as place:
            there = work.prepare(place).attributes
        assert {key for key in here if here[key] != there[key]} == {"device"}


def test_fingerprints_have_the_code_of_their_extraction(
    photos: Photos, clip_params: ClipFeaturesParams, dino_params: DinoFeaturesParams
) -> None:
    codes = []
    for work in (ClipWork(photos, clip_params, SEED, (0, 1), 0), DinoWork(photos, dino_params)):
        codes.append(work.prepare(CPU).attributes["code"])
        assert codes[-1] == code_digest(str(sys.modules[type(work).__module__].__file__))
    assert codes[0] != codes[1]


def test_clip_store_does_not_depend_on_the_number_of_cores(
    photos: Photos, clip_params: ClipFeaturesParams, tmp_path: Path
) -> None:
    before = torch.get_num_threads()
    stores = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            extract_clip(photos, clip_params, SEED, CPU, tmp_path / str(threads) / "clip.zarr")
            stores.append(contents(tmp_path / str(threads)))
    finally:
        torch.set_num_threads(before)
    assert stores[0] == stores[1]


def test_in_order_keeps_the_order_and_does_not_run_far_ahead() -> None:
    started: list[int] = []
    release = threading.Event()

    def work(item: int) -> int:
        started.append(item)
        if item == 0:
            assert release.wait(60)
        return -item

    results = in_order(work, range(100), workers=2, ahead=3)
    # The first is the last to be done.
    threading.Timer(0.1, release.set).start()
    assert next(results) == 0
    assert set(started) <= {0, 1, 2, 3}
    assert list(results) == [-item for item in range(1, 100)]


@pytest.mark.parametrize(("downscale", "grid"), [(1.0, (9, 12)), (2.0, (4, 6)), (1.5, (6, 8))])
def test_extract_dino_stores_the_tokens_of_the_downscaled_photo(
    photos: Photos,
    dino_params: DinoFeaturesParams,
    tmp_path: Path,
    downscale: float,
    grid: tuple[int, int],
) -> None:
    params = dino_params.model_copy(update={"downscale": downscale})
    report = extract_dino(photos, params, CPU, tmp_path / "dino.zarr")
    store = TokenStore.open(tmp_path / "dino.zarr")
    assert store.grid == grid
    assert (report.views, report.items, report.dim) == (4, grid[0] * grid[1], 24)
    if downscale.is_integer():
        encoder = load_dino(params.model, params.weights, CPU, params.layer, params.final_norm)
        expected = encoder.tokens(load_photo(photos.paths[3], int(downscale)), torch.float32)
        torch.testing.assert_close(store.load([3], CPU)[0], expected.half())


def test_extraction_refuses_a_downscale_that_leaves_too_little(
    photos: Photos,
    clip_params: ClipFeaturesParams,
    dino_params: DinoFeaturesParams,
    tmp_path: Path,
) -> None:
    tiny_clip = clip_params.model_copy(update={"downscale": 100})
    with pytest.raises(ParamsError, match=r"clip_features.downscale: 100 leaves 0 x 0 pixels"):
        extract_clip(photos, tiny_clip, SEED, CPU, tmp_path / "clip.zarr")
    tiny_dino = dino_params.model_copy(update={"downscale": 10.0})
    with pytest.raises(ParamsError, match=r"dino_features.downscale: 10.0 .*at least 8"):
        extract_dino(photos, tiny_dino, CPU, tmp_path / "dino.zarr")


def test_stores_hold_no_absolute_path(
    photos: Photos, clip_params: ClipFeaturesParams, tmp_path: Path
) -> None:
    extract_clip(photos, clip_params, SEED, CPU, tmp_path / "clip.zarr")
    for name, content in contents(tmp_path).items():
        assert str(tmp_path).encode() not in content, name
        assert str(photos.paths[0].parent).encode() not in content, name
        assert clip_params.model.encode() not in content, name


def test_token_colors_stretch_the_leading_component() -> None:
    ramp = torch.linspace(0, 1, 101)[None, :, None]
    colors = token_colors(ramp * torch.tensor([0.0, 3.0, 0.0, 4.0]))
    assert colors.shape == (1, 101, 3)
    assert colors[0, [0, 50, 100], 0].tolist() == pytest.approx([0, 127.5, 255], abs=0.5)


def test_token_picture_stands_beside_the_photo(
    photos: Photos, dino_params: DinoFeaturesParams, tmp_path: Path
) -> None:
    extract_dino(photos, dino_params, CPU, tmp_path / "dino.zarr")
    store = TokenStore.open(tmp_path / "dino.zarr")
    save_token_picture(store, photos, 1, tmp_path / "pca.png")
    picture = load_photo(tmp_path / "pca.png", 1)
    assert picture.shape == (72, 192, 3)
    assert torch.equal(picture[:, :96], load_photo(photos.paths[1], 1))
