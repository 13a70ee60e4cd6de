"""Extraction over a real Dask cluster of two processes on this machine."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from distributed import LocalCluster

from ovs3d import device
from ovs3d.errors import ClusterError, SceneError
from ovs3d.features import cluster as cluster_module
from ovs3d.features.clip_params import ClipFeaturesParams
from ovs3d.features.cluster import Cluster
from ovs3d.features.dino_params import DinoFeaturesParams
from ovs3d.features.extract_clip import ClipWork, extract_clip
from ovs3d.features.extract_dino import DinoWork, extract_dino
from ovs3d.features.token_store import TokenStore
from ovs3d.photos.dataset import Photos, open_photos
from tests.features.test_store import contents
from tests.synthetic import make_scene, write_scene

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
SEED = 7
VIEWS = 8
_fast_types = device._fast_types


@pytest.fixture(autouse=True)
def _precision_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process choose the precision that workers choose, which no fixture reaches."""
    monkeypatch.setattr(device, "_fast_types", _fast_types)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Photos:
    """Eight photos of 96 x 72 pixels."""
    folder = tmp_path_factory.mktemp("scene")
    write_scene(make_scene(views=VIEWS, width=96, height=72), folder)
    return open_photos(folder / "images")


def start_cluster(processes: bool) -> LocalCluster:
    return LocalCluster(
        n_workers=2, threads_per_worker=1, processes=processes, dashboard_address=":0"
    )


@pytest.fixture(scope="module")
def local() -> Iterator[LocalCluster]:
    with start_cluster(processes=True) as running:
        yield running


@pytest.fixture(scope="module")
def cluster(local: LocalCluster) -> Cluster:
    return Cluster(local.scheduler_address, "cpu")


def test_clip_stores_of_two_processes_and_of_one_have_the_same_bytes(
    photos: Photos, clip_params: ClipFeaturesParams, tmp_path: Path, cluster: Cluster
) -> None:
    extract_clip(photos, clip_params, SEED, CPU, tmp_path / "one" / "clip.zarr")
    report = extract_clip(photos, clip_params, SEED, CPU, tmp_path / "two" / "clip.zarr", cluster)
    assert (report.views, report.resumed) == (VIEWS, 0)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_dino_stores_of_two_processes_and_of_one_have_the_same_bytes(
    photos: Photos,
    dino_params: DinoFeaturesParams,
    tmp_path: Path,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Workers were started elsewhere, so that relative paths mean nothing to them.
    model = Path(dino_params.model)
    monkeypatch.chdir(model.parent)
    relative = dino_params.model_copy(update={"model": model.name, "downscale": 1.5})
    extract_dino(photos, relative, CPU, tmp_path / "one" / "dino.zarr")
    monkeypatch.chdir(tmp_path)
    elsewhere = dino_params.model_copy(update={"downscale": 1.5})
    extract_dino(photos, elsewhere, CPU, Path("two/dino.zarr"), cluster)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def on_first_view(action: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Do something when the first view is there; return the views, which come in later."""
    run, views = cluster_module._run, []

    def watched(*arguments: Any) -> Iterator[int]:
        for view in run(*arguments):
            views.append(view)
            if len(views) == 1:
                action()
            yield view

    monkeypatch.setattr(cluster_module, "_run", watched)
    return views


def test_killed_worker_costs_only_its_views(
    photos: Photos,
    dino_params: DinoFeaturesParams,
    tmp_path: Path,
    cluster: Cluster,
    local: LocalCluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    extract_dino(photos, dino_params, CPU, tmp_path / "whole" / "dino.zarr")
    killed = tmp_path / "killed" / "dino.zarr"
    there: dict[Path, int] = {}

    def kill() -> None:
        there.update({path: path.stat().st_ino for path in (killed / "tokens").glob("c.*.0")})
        os.kill(local.workers[0].process.process.pid, signal.SIGKILL)

    views = on_first_view(kill, monkeypatch)
    extract_dino(photos, dino_params, CPU, killed, cluster)
    assert sorted(views) == list(range(VIEWS))
    assert there
    assert all(path.stat().st_ino == inode for path, inode in there.items())
    assert contents(killed.parent) == contents(tmp_path / "whole")


def test_scheduler_that_goes_away_is_one_line_and_keeps_the_views(
    photos: Photos,
    dino_params: DinoFeaturesParams,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "dino.zarr"
    running = start_cluster(processes=False)
    cluster = Cluster(running.scheduler_address, "cpu")
    on_first_view(running.close, monkeypatch)
    with pytest.raises(ClusterError, match="scheduler went away; views that are done are kept"):
        extract_dino(photos, dino_params, CPU, out, cluster)
    assert 0 < len(TokenStore(out).missing()) < VIEWS


def test_scheduler_that_does_not_answer_is_one_line(
    photos: Photos,
    dino_params: DinoFeaturesParams,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OVS3D_SCHEDULER", f"tcp://127.0.0.1:{unused.getsockname()[1]}")
        cluster = Cluster.from_environment("cpu")
        with pytest.raises(ClusterError, match=r"no Dask scheduler answers .*OVS3D_SCHEDULER"):
            extract_dino(photos, dino_params, CPU, tmp_path / "dino.zarr", cluster)


def test_address_that_is_none_is_one_line(
    photos: Photos, dino_params: DinoFeaturesParams, tmp_path: Path
) -> None:
    cluster = Cluster("here://or-there", "cpu")
    with pytest.raises(ClusterError, match="no Dask scheduler answers at here://or-there"):
        extract_dino(photos, dino_params, CPU, tmp_path / "dino.zarr", cluster)


def test_cluster_without_dask_is_one_line(
    photos: Photos,
    dino_params: DinoFeaturesParams,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    cluster = Cluster("tcp://127.0.0.1:1", "cpu")
    with pytest.raises(ClusterError, match=r"Dask is not installed; .*ovs3d\[cluster\]"):
        extract_dino(photos, dino_params, CPU, tmp_path / "dino.zarr", cluster)


def test_without_the_variable_there_is_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OVS3D_SCHEDULER", raising=False)
    assert Cluster.from_environment("cpu") is None


def test_photo_that_a_worker_cannot_read_is_one_line(
    photos: Photos, dino_params: DinoFeaturesParams, tmp_path: Path, cluster: Cluster
) -> None:
    broken = tmp_path / "000.png"
    broken.write_bytes(photos.paths[0].read_bytes()[:500])
    some = Photos((broken, *photos.paths[1:3]), photos.width, photos.height)
    with pytest.raises(SceneError, match=r"000\.png: cannot be read as an image"):
        extract_dino(some, dino_params, CPU, tmp_path / "dino.zarr", cluster)


def make_task(photos: Photos, params: DinoFeaturesParams, out: Path) -> tuple[Any, str]:
    """Make a store; return what would be sent to a worker that continues it."""
    extract_dino(photos, params, CPU, out)
    task = cluster_module._Task(DinoWork(photos, params), out, "cpu", out.as_posix())
    return task, TokenStore.open(out).fingerprint


def test_worker_that_sees_other_files_says_which(
    photos: Photos, dino_params: DinoFeaturesParams, tmp_path: Path
) -> None:
    task, fingerprint = make_task(photos, dino_params, tmp_path / "dino.zarr")
    make = cluster_module._make_view
    other = Photos((tmp_path / "none.png",), photos.width, photos.height)
    with pytest.raises(ClusterError, match=r"cannot see .*none\.png; .* file system"):
        make(replace(task, work=replace(task.work, photos=other)), fingerprint, 0)
    with pytest.raises(ClusterError, match=r"cannot see .*else; .* file system"):
        make(replace(task, out=tmp_path / "else" / "dino.zarr"), fingerprint, 0)
    with pytest.raises(ClusterError, match=r"sees another store at .*dino\.zarr"):
        make(task, "12", 0)


def test_worker_that_cannot_import_the_package_is_one_line(
    photos: Photos,
    dino_params: DinoFeaturesParams,
    tmp_path: Path,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster_module, "__name__", "no_such_package")
    with pytest.raises(ClusterError, match=r"cannot import ovs3d \(.*no_such_package.*\); start"):
        extract_dino(photos, dino_params, CPU, tmp_path / "dino.zarr", cluster)


def test_worker_of_two_threads_loads_the_model_once(
    photos: Photos,
    dino_params: DinoFeaturesParams,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded = []

    def prepare(*arguments: Any) -> None:
        loaded.append(arguments)
        time.sleep(0.2)

    monkeypatch.setattr(DinoWork, "prepare", prepare)
    task = cluster_module._Task(DinoWork(photos, dino_params), tmp_path / "dino.zarr", "cpu", "56")
    with ThreadPoolExecutor(2) as executor:
        list(executor.map(cluster_module._prepared, [task, task]))
    assert len(loaded) == 1


def test_worker_that_would_make_other_features_says_why(
    photos: Photos,
    dino_params: DinoFeaturesParams,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task, fingerprint = make_task(photos, dino_params, tmp_path / "dino.zarr")
    monkeypatch.setattr("ovs3d.features.extract_dino._CODE", "34")
    with pytest.raises(ClusterError, match=r"other features .* \(not the same: code\); give all"):
        cluster_module._make_view(task, fingerprint, 0)


def test_view_that_a_worker_wrote_elsewhere_is_one_line(
    photos: Photos,
    dino_params: DinoFeaturesParams,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    extract_dino(photos, dino_params, CPU, tmp_path / "dino.zarr")
    store = TokenStore.open(tmp_path / "dino.zarr")
    (tmp_path / "dino.zarr/tokens/c.3.0.0.0").unlink()
    monkeypatch.setattr(cluster_module, "_APPEAR_SECONDS", 0)
    with pytest.raises(ClusterError, match=r"is not here \(.*no view 3\); .* file system"):
        cluster_module._seen(lambda: cluster_module._check(store, 3))


@pytest.mark.parametrize(
    ("weights", "sent"),
    [("openai", "openai"), ("w.pt", "{here}/w.pt"), ("openai@w.pt", "openai@{here}/w.pt")],
)
def test_workers_get_paths_that_mean_the_same_in_any_folder(
    photos: Photos,
    clip_params: ClipFeaturesParams,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    weights: str,
    sent: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pt").touch()
    params = clip_params.model_copy(update={"model": "ViT-B-16", "weights": weights})
    found = cluster_module._absolute(ClipWork(photos, params, SEED, (), 0)).params
    assert (found.model, found.weights) == ("ViT-B-16", sent.format(here=tmp_path))
