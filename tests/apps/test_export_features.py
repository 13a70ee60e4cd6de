"""The dense export of a small store: what it holds, its bytes, and what a kill leaves."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

from ovs3d.apps import cli, export_features
from ovs3d.apps.export_features import DenseReport, export_dense
from ovs3d.errors import StoreError
from ovs3d.features.store import FeatureStore
from tests.closure import ROOT
from tests.damage import flip_bit
from tests.features.stores import ATTRIBUTES, DIM, SIZE, VIEWS, make_boxes, make_store
from tests.features.test_store import contents

CPU = torch.device("cpu")
WIDTH, HEIGHT = SIZE
# Three shards a view: rows 0..15, 16..31 and the four that are left.
SMALL_SHARD = 16 * WIDTH * 2 * DIM * 4


def export(store: FeatureStore, out: Path) -> DenseReport:
    return export_dense(store, out, CPU, SMALL_SHARD)


def read(path: Path) -> np.ndarray:
    array = zarr.open_group(path, mode="r")["features"]
    assert isinstance(array, zarr.Array)
    return np.asarray(array[:])


def test_dense_features_are_those_of_the_store(tmp_path: Path) -> None:
    store = make_store(tmp_path / "clip.zarr")
    report = export(store, tmp_path / "dense.zarr")
    dense = read(tmp_path / "dense.zarr")
    assert dense.shape == report.shape == (len(VIEWS), 2, HEIGHT, WIDTH, DIM)
    assert dense.dtype == np.float32
    ys, xs = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    for row, view in enumerate(VIEWS):
        pixels = store.pixels(view, ys.flatten(), xs.flatten()).view(HEIGHT, WIDTH, 2, DIM)
        np.testing.assert_array_equal(dense[row], pixels.permute(2, 0, 1, 3).numpy())
    attributes = zarr.open_group(tmp_path / "dense.zarr", mode="r").attrs
    assert attributes["views"] == list(VIEWS)
    assert attributes["source"] == store.attributes["fingerprint"]
    assert len(contents(tmp_path / "dense.zarr")) == 3 * len(VIEWS) + 2


def test_equal_stores_give_equal_bytes_and_replace_what_was_there(tmp_path: Path) -> None:
    store = make_store(tmp_path / "clip.zarr")
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "b.zarr/old").write_text("to be replaced")
    for name in ("a.zarr", "b.zarr"):
        export(store, tmp_path / name)
    assert contents(tmp_path / "a.zarr") == contents(tmp_path / "b.zarr")


def test_killed_export_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    make_store(tmp_path / "clip.zarr")
    script = f"""
import os, signal, torch
from pathlib import Path
from ovs3d.apps.export_features import export_dense
from ovs3d.features.store import FeatureStore
store = FeatureStore.open(Path({str(tmp_path / "clip.zarr")!r}))
load = store.load
def last(views, device):
    if views == [{VIEWS[-1]}]:
        os.kill(os.getpid(), signal.SIGKILL)
    return load(views, device)
store.load = last
export_dense(store, Path({str(tmp_path / "out/dense.zarr")!r}), torch.device("cpu"), {SMALL_SHARD})
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [path.suffix for path in (tmp_path / "out").iterdir()] == [".tmp"]
    store = FeatureStore.open(tmp_path / "clip.zarr")
    export(store, tmp_path / "out/dense.zarr")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["dense.zarr"]
    export(store, tmp_path / "again.zarr")
    assert contents(tmp_path / "out/dense.zarr") == contents(tmp_path / "again.zarr")


def test_damaged_store_ends_the_export_and_leaves_the_old_one(tmp_path: Path) -> None:
    store = make_store(tmp_path / "clip.zarr")
    export(store, tmp_path / "dense.zarr")
    before = contents(tmp_path / "dense.zarr")
    flip_bit(tmp_path / "clip.zarr/embeddings/c.2.0.0", 0)
    with pytest.raises(StoreError, match=r"c\.2\.0\.0: no readable"):
        export(store, tmp_path / "dense.zarr")
    assert contents(tmp_path / "dense.zarr") == before
    assert not list(tmp_path.glob(".*.tmp"))


def test_second_export_at_the_same_time_is_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store/clip.zarr")
    with (
        export_features._only_writer(tmp_path / "out/dense.zarr"),
        pytest.raises(StoreError, match="another process is writing there"),
    ):
        export(store, tmp_path / "out/dense.zarr")


def test_scene_is_exported_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    attributes = {**ATTRIBUTES, "views": (0, 1, 2)}
    store = FeatureStore.resume(
        tmp_path / "data/clip_features/demo/clip.zarr", attributes, make_boxes()
    )
    for view in store.views:
        store.write(view, torch.ones(make_boxes().shape[1], DIM))
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export-features", "demo", "--dense"]) == 0
    assert (read(tmp_path / "data/export_features/demo/dense.zarr") == 1).all()
    assert "3 x 2 x 36 x 48 x 8" in capsys.readouterr().out
    assert cli.main(["export-features", "other", "--dense"]) == 2
