import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr

from ovs3d.errors import StoreError
from ovs3d.features.store import FeatureStore
from ovs3d.features.token_store import TokenStore
from tests.damage import flip_bit, truncate
from tests.features.stores import (
    ATTRIBUTES,
    DIM,
    TOKENS,
    VIEWS,
    make_boxes,
    make_embeddings,
    make_store,
    make_token_store,
    make_tokens,
)

CPU = torch.device("cpu")


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_feature_store_gives_back_what_was_written(tmp_path: Path) -> None:
    make_store(tmp_path / "clip.zarr")
    store = FeatureStore.open(tmp_path / "clip.zarr")
    assert (store.views, store.scales, store.dim) == (VIEWS, 2, DIM)
    assert (store.width, store.height, store.downscale) == (48, 36, 2)
    assert store.encoder_digest == "abc"
    group = zarr.open_group(tmp_path / "clip.zarr", mode="r")
    embeddings, boxes = group["embeddings"], group["boxes"]
    assert isinstance(embeddings, zarr.Array)
    assert isinstance(boxes, zarr.Array)
    assert (embeddings.dtype, boxes.dtype) == (np.dtype(np.float16), np.dtype(np.int16))
    assert embeddings.shards is not None
    assert embeddings.shards[0] == 1
    np.testing.assert_array_equal(boxes[:], make_boxes())
    np.testing.assert_array_equal(embeddings[1], make_embeddings(4).half().numpy())
    assert group.attrs["photos"] == ATTRIBUTES["photos"]
    assert group.attrs["version"] == 3


def test_pixels_gathers_from_the_loaded_windows(tmp_path: Path) -> None:
    store = make_store(tmp_path / "clip.zarr")
    ys, xs = torch.tensor([0, 35, 10]), torch.tensor([47, 0, 20])
    loaded = store.load((6, 1), CPU)
    assert loaded.views == (6, 1)
    expected = loaded.gather(torch.full((3,), 6), ys, xs)
    torch.testing.assert_close(store.pixels(6, ys, xs), expected)
    assert expected.shape == (3, 2, DIM)


def test_token_store_gives_back_what_was_written(tmp_path: Path) -> None:
    make_token_store(tmp_path / "dino.zarr")
    tokens = make_tokens()
    store = TokenStore.open(tmp_path / "dino.zarr")
    assert (store.views, store.grid, store.dim) == (VIEWS, (20, 33), DIM)
    assert (store.patch, store.downscale) == (8, 1.5)
    loaded = store.load((6, 1), CPU)
    assert loaded.dtype == torch.float16
    assert torch.equal(loaded, tokens[[2, 0]].half())


def test_same_input_gives_the_same_bytes_in_any_order_of_writing(tmp_path: Path) -> None:
    make_store(tmp_path / "one.zarr")
    make_store(tmp_path / "two.zarr", views=VIEWS[::-1])
    assert contents(tmp_path / "one.zarr") == contents(tmp_path / "two.zarr")


def test_writers_on_different_views_do_not_disturb_each_other(tmp_path: Path) -> None:
    make_store(tmp_path / "one.zarr")
    with ThreadPoolExecutor() as executor:
        list(executor.map(lambda view: make_store(tmp_path / "two.zarr", (view,)), VIEWS))
    assert contents(tmp_path / "one.zarr") == contents(tmp_path / "two.zarr")


def test_resume_keeps_finished_views_and_names_the_missing(tmp_path: Path) -> None:
    make_store(tmp_path / "clip.zarr", views=(4,))
    shard = tmp_path / "clip.zarr/embeddings/c.1.0.0"
    inode = shard.stat().st_ino
    store = make_store(tmp_path / "clip.zarr", views=())
    assert store.missing() == (1, 6)
    assert store.has(4)
    assert shard.stat().st_ino == inode


@pytest.mark.parametrize(
    "change", [{"encoder_digest": "xyz"}, {"photos": {"a.jpg": "13"}}, {"downscale": 3}]
)
def test_resume_starts_over_when_anything_it_was_made_from_differs(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    make_store(tmp_path / "clip.zarr")
    assert make_store(tmp_path / "clip.zarr", views=(), **change).missing() == VIEWS


def test_resume_starts_over_where_something_else_lies(tmp_path: Path) -> None:
    (tmp_path / "clip.zarr").mkdir()
    (tmp_path / "clip.zarr/zarr.json").write_text("{")
    (tmp_path / "dino.zarr").write_text("no folder")
    assert make_store(tmp_path / "clip.zarr", views=()).missing() == VIEWS
    assert TokenStore.resume(tmp_path / "dino.zarr", TOKENS).missing() == VIEWS


@pytest.mark.parametrize("damage", [flip_bit, truncate])
def test_resume_redoes_a_view_whose_file_is_damaged(
    tmp_path: Path, damage: Callable[[Path, int], None]
) -> None:
    make_store(tmp_path / "clip.zarr")
    damage(tmp_path / "clip.zarr/embeddings/c.1.0.0", 3)
    assert make_store(tmp_path / "clip.zarr", views=()).missing() == (4,)


def test_finish_removes_what_killed_writers_left(tmp_path: Path) -> None:
    store = make_store(tmp_path / "clip.zarr")
    before = contents(tmp_path)
    (tmp_path / "clip.zarr/embeddings/c.1.0.123abc.partial").write_bytes(b"half")
    (tmp_path / ".clip.zarr.77.tmp").mkdir()
    store.finish()
    assert contents(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.zarr"]


def test_store_has_one_file_per_view_and_few_more(tmp_path: Path) -> None:
    attributes = {**TOKENS, "grid": (2, 2), "views": tuple(range(50))}
    store = TokenStore.resume(tmp_path / "dino.zarr", attributes)
    for view in store.views:
        store.write(view, torch.ones(2, 2, DIM))
    assert len(contents(tmp_path / "dino.zarr")) == 52


def test_write_refuses_what_float16_cannot_hold(tmp_path: Path) -> None:
    store = make_store(tmp_path / "clip.zarr", views=())
    with pytest.raises(StoreError, match="view 4 has values that float16 cannot hold"):
        store.write(4, make_embeddings(4) * 1e6)


@pytest.mark.parametrize("seed", range(20))
def test_changed_bit_of_a_shard_is_named_when_it_is_read(tmp_path: Path, seed: int) -> None:
    store = make_store(tmp_path / "clip.zarr")
    flip_bit(tmp_path / "clip.zarr/embeddings/c.1.0.0", seed)
    assert not store.has(4)
    for read in (store.check, lambda: store.load((4,), CPU)):
        with pytest.raises(StoreError, match=r"embeddings/c\.1\.0\.0: no readable .*dvc checkout"):
            read()
    store.load((1, 6), CPU)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", ["embeddings/zarr.json", "boxes/zarr.json", "boxes/c.0.0.0"])
def test_changed_bit_of_what_describes_the_shards_is_named(
    tmp_path: Path, name: str, seed: int
) -> None:
    make_store(tmp_path / "clip.zarr")
    flip_bit(tmp_path / "clip.zarr" / name, seed)
    with pytest.raises(StoreError, match=r"clip\.zarr: no readable clip_features store"):
        FeatureStore.open(tmp_path / "clip.zarr")


@pytest.mark.parametrize("seed", range(40))
def test_changed_bit_of_the_attributes_is_no_other_store(tmp_path: Path, seed: int) -> None:
    before = make_store(tmp_path / "clip.zarr").attributes
    flip_bit(tmp_path / "clip.zarr/zarr.json", seed)
    # A few bits of the file mean nothing, such as a blank that becomes a line break.
    with suppress(StoreError):
        assert FeatureStore.open(tmp_path / "clip.zarr").attributes == before


def test_view_that_is_deleted_after_opening_is_not_read_as_zeros(tmp_path: Path) -> None:
    store = make_store(tmp_path / "clip.zarr")
    (tmp_path / "clip.zarr/embeddings/c.1.0.0").unlink()
    with pytest.raises(StoreError, match="view 4 is missing"):
        store.load((4,), CPU)


@pytest.mark.parametrize("foreign", ["embeddings/c.2.0.0", "../other.zarr/embeddings/c.1.0.0"])
def test_shard_of_another_view_or_store_is_refused(tmp_path: Path, foreign: str) -> None:
    make_store(tmp_path / "other.zarr", downscale=3)
    store = make_store(tmp_path / "clip.zarr")
    shard = tmp_path / "clip.zarr/embeddings/c.1.0.0"
    shard.write_bytes((tmp_path / "clip.zarr" / foreign).read_bytes())
    assert store.missing() == (4,)
    for read in (lambda: FeatureStore.open(store.path), lambda: store.load((4,), CPU)):
        with pytest.raises(StoreError, match=r"c\.1\.0\.0: .* of another view or store"):
            read()


def test_late_writer_leaves_a_store_that_was_started_over_alone(tmp_path: Path) -> None:
    late = make_store(tmp_path / "clip.zarr", views=())
    make_store(tmp_path / "clip.zarr", downscale=3)
    before = contents(tmp_path)
    with pytest.raises(StoreError, match="another run has started it over"):
        late.write(4, make_embeddings(4))
    assert contents(tmp_path) == before


def damage(path: Path, kind: str) -> None:
    """Break a finished store in one way."""
    shard, metadata = path / "embeddings/c.1.0.0", path / "zarr.json"
    if kind == "missing view":
        shard.unlink()
    elif kind == "truncated":
        shard.write_bytes(shard.read_bytes()[:-7])
    elif kind == "empty file":
        shard.write_bytes(b"")
    elif kind == "nothing":
        shutil.rmtree(path)
    elif kind == "no array":
        shutil.rmtree(path / "embeddings")
    elif kind == "no boxes":
        (path / "boxes/c.0.0.0").unlink()
    elif kind == "truncated boxes":
        boxes = path / "boxes/c.0.0.0"
        boxes.write_bytes(boxes.read_bytes()[:20])
    elif kind == "truncated metadata":
        metadata.write_text(metadata.read_text()[:50])
    else:
        content = json.loads(metadata.read_text())
        content["attributes"].update({"version": 99} if kind == "version" else {"format": "x"})
        metadata.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing view", r"embeddings/c\.1\.0\.0: view 4 is missing; .*dvc pull"),
        ("truncated", r"embeddings/c\.1\.0\.0: no readable clip_features store .*dvc checkout"),
        ("empty file", r"embeddings/c\.1\.0\.0: no readable clip_features store"),
        ("nothing", r"clip\.zarr: no readable clip_features store .*does not exist"),
        ("no array", r"clip\.zarr: no readable clip_features store .*embeddings"),
        ("no boxes", r"clip\.zarr: no readable clip_features store"),
        ("truncated boxes", r"clip\.zarr: no readable clip_features store"),
        ("truncated metadata", r"clip\.zarr: no readable clip_features store"),
        ("version", r"its version is 99, not 3"),
        ("format", r"its format is x, not ovs3d\.clip_features"),
    ],
)
def test_open_says_in_one_line_what_is_wrong(tmp_path: Path, kind: str, message: str) -> None:
    make_store(tmp_path / "clip.zarr")
    damage(tmp_path / "clip.zarr", kind)
    with pytest.raises(StoreError, match=message) as caught:
        FeatureStore.open(tmp_path / "clip.zarr")
    assert "\n" not in str(caught.value)


def test_open_refuses_a_store_of_the_other_kind(tmp_path: Path) -> None:
    make_store(tmp_path / "clip.zarr")
    with pytest.raises(StoreError, match=r"its format is ovs3d\.clip_features"):
        TokenStore.open(tmp_path / "clip.zarr")


def test_load_of_a_view_without_features_names_it(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no features of view 2, only of 1, 4, 6"):
        make_store(tmp_path / "clip.zarr").load((1, 2), CPU)


def test_view_whose_shard_has_a_damaged_index_can_be_written_again(tmp_path: Path) -> None:
    store = make_store(tmp_path / "clip.zarr")
    before = contents(tmp_path)
    shard = tmp_path / "clip.zarr/embeddings/c.1.0.0"
    content = bytearray(shard.read_bytes())
    # Zarr's index of chunks is at the start.
    content[1] ^= 1
    shard.write_bytes(content)
    assert not store.has(4)
    store.write(4, make_embeddings(4))
    assert contents(tmp_path) == before
