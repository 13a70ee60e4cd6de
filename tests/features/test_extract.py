import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from ovs3d.errors import ParamsError, SceneError
from ovs3d.features.clip import load_clip
from ovs3d.features.clip_params import ClipFeaturesParams
from ovs3d.features.dino import load_dino
from ovs3d.features.dino_params import DinoFeaturesParams
from ovs3d.features.extract_clip import (
    extract_clip,
    scene_windows,
    views_with_features,
)
from ovs3d.features.extract_dino import extract_dino
from ovs3d.features.store import FeatureStore
from ovs3d.features.token_store import TokenStore
from ovs3d.files import digest
from ovs3d.photos.dataset import Photos, load_photo, open_photos
from tests.features.test_store import contents

CPU = torch.device("cpu")
SEED = 7


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
    ("train_views", "share", "views"),
    [
        pytest.param((0, 2, 3, 5), 0.5, (2, 5), id="half of those trained on"),
        pytest.param((3, 4, 5), 0.9, (3, 4, 5), id="nearly all of those trained on"),
        pytest.param((0, 2, 3, 5), 1.0, (0, 1, 2, 3, 4, 5), id="all, test photos too"),
        pytest.param((4,), 0.01, (4,), id="at least one"),
        pytest.param(range(10), 0.3, (1, 5, 8), id="evenly spaced"),
        pytest.param(range(30), 0.1, (5, 15, 25), id="in the middle of their shares"),
        pytest.param(range(3), 0.01, (1,), id="the middle one"),
    ],
)
def test_share_is_one_of_the_training_views(
    train_views: tuple[int, ...], share: float, views: tuple[int, ...]
) -> None:
    assert views_with_features(6, train_views, share) == views


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


def test_photo_that_cannot_be_decoded_ends_the_extraction(
    photos: Photos, clip_params: ClipFeaturesParams, tmp_path: Path
) -> None:
    shutil.copytree(photos.paths[0].parent, tmp_path / "images")
    cut = tmp_path / "images" / photos.names[2]
    cut.write_bytes(cut.read_bytes()[:3000])
    threads = torch.get_num_threads()
    with pytest.raises(SceneError, match=photos.names[2]):
        extract_clip(open_photos(cut.parent), clip_params, SEED, CPU, tmp_path / "clip.zarr")
    assert torch.get_num_threads() == threads


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
