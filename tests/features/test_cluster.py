"""Extraction over a real Dask cluster of two processes on this machine."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from distributed import LocalCluster

from ovs3d.errors import ClusterError, SceneError
from ovs3d.features import cluster as cluster_module
from ovs3d.features import worker
from ovs3d.features.clip_params import ClipFeaturesParams
from ovs3d.features.cluster import Cluster
from ovs3d.features.dino_params import DinoFeaturesParams
from ovs3d.features.extract import Extraction
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
# As `ovs3d.device` looks it up: older versions of torch lack it.
_get_capabilities = getattr(torch.cpu, "get_capabilities", dict)


@pytest.fixture(autouse=True)
def _precision_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process choose the precision that workers choose, which no fixture reaches."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", _get_capabilities, raising=False)


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


@dataclass(frozen=True)
class Watched(Cluster):
    """Notes the views as they come in, and does something when the first one is there."""

    on_first_view: Callable[[], None]
    seen: list[int] = field(default_factory=list)

    def _run(self, *arguments: Any) -> Iterator[int]:
        for view in super()._run(*arguments):
            self.seen.append(view)
            if len(self.seen) == 1:
                self.on_first_view()
            yield view


def test_killed_worker_costs_only_its_views(
    photos: Photos,
    dino_params: DinoFeaturesParams,
    tmp_path: Path,
    local: LocalCluster,
) -> None:
    extract_dino(photos, dino_params, CPU, tmp_path / "whole" / "dino.zarr")
    killed = tmp_path / "killed" / "dino.zarr"
    there: dict[Path, int] = {}

    def kill() -> None:
        there.update({path: path.stat().st_ino for path in (killed / "tokens").glob("c.*.0")})
        os.kill(local.workers[0].process.process.pid, signal.SIGKILL)

    cluster = Watched(local.scheduler_address, "cpu", kill)
    extract_dino(photos, dino_params, CPU, killed, cluster)
    assert sorted(cluster.seen) == list(range(VIEWS))
    assert there
    assert all(path.stat().st_ino == inode for path, inode in there.items())
    assert contents(killed.parent) == contents(tmp_path / "whole")


def test_scheduler_that_goes_away_is_one_line_and_keeps_the_views(
    photos: Photos, dino_params: DinoFeaturesParams, tmp_path: Path
) -> None:
    out = tmp_path / "dino.zarr"
    running = start_cluster(processes=False)
    cluster = Watched(running.scheduler_address, "cpu", running.close)
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


def make_task(photos: Photos, params: DinoFeaturesParams, out: Path) -> tuple[worker.Task, str]:
    """Make a store; return what would be sent to a worker that continues it."""
    extract_dino(photos, params, CPU, out)
    task = worker.Task(DinoWork(photos, params), out, "cpu", out.as_posix())
    return task, TokenStore.open(out).fingerprint


def test_worker_that_sees_other_files_says_which(
    photos: Photos, dino_params: DinoFeaturesParams, tmp_path: Path
) -> None:
    task, fingerprint = make_task(photos, dino_params, tmp_path / "dino.zarr")
    other = Photos((tmp_path / "none.png",), photos.width, photos.height)
    with pytest.raises(ClusterError, match=r"cannot see .*none\.png; .* file system"):
        worker.make_view(replace(task, work=replace(task.work, photos=other)), fingerprint, 0)
    with pytest.raises(ClusterError, match=r"cannot see .*else; .* file system"):
        worker.make_view(replace(task, out=tmp_path / "else" / "dino.zarr"), fingerprint, 0)
    with pytest.raises(ClusterError, match=r"sees another store at .*dino\.zarr"):
        worker.make_view(task, "12", 0)


def test_worker_that_cannot_import_the_package_is_one_line(local: LocalCluster) -> None:
    with (
        cluster_module._connected(local.scheduler_address) as client,
        pytest.raises(ClusterError, match=r"cannot import ovs3d \(.*no_such_package.*\); start"),
    ):
        cluster_module._import(client, "no_such_package")


def test_worker_of_two_threads_loads_the_model_once(
    photos: Photos, dino_params: DinoFeaturesParams, tmp_path: Path
) -> None:
    loaded = []

    class Counted(DinoWork):
        def prepare(self, device: torch.device) -> Extraction:
            loaded.append(device)
            time.sleep(0.2)
            return super().prepare(device)

    task = worker.Task(Counted(photos, dino_params), tmp_path / "dino.zarr", "cpu", "56")
    with ThreadPoolExecutor(2) as executor:
        list(executor.map(worker.prepared, [task, task]))
    assert len(loaded) == 1


class OtherCode(DinoWork):
    """As a worker has it whose package is another version."""

    def prepare(self, device: torch.device) -> Extraction:
        extraction = super().prepare(device)
        return replace(extraction, attributes={**extraction.attributes, "code": "34"})


def test_worker_that_would_make_other_features_says_why(
    photos: Photos, dino_params: DinoFeaturesParams, tmp_path: Path
) -> None:
    task, fingerprint = make_task(photos, dino_params, tmp_path / "dino.zarr")
    other = replace(task, work=OtherCode(photos, dino_params))
    with pytest.raises(ClusterError, match=r"other features .* \(not the same: code\); give all"):
        worker.make_view(other, fingerprint, 0)


def test_view_that_a_worker_wrote_elsewhere_is_one_line(
    photos: Photos, dino_params: DinoFeaturesParams, tmp_path: Path
) -> None:
    extract_dino(photos, dino_params, CPU, tmp_path / "dino.zarr")
    store = TokenStore.open(tmp_path / "dino.zarr")
    (tmp_path / "dino.zarr/tokens/c.3.0.0.0").unlink()
    with pytest.raises(ClusterError, match=r"is not here \(.*no view 3\); .* file system"):
        cluster_module._seen(lambda: cluster_module._check(store, 3), seconds=0)


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
