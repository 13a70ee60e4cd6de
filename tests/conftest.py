"""Fixtures that all tests share."""

import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from tests.closure import ROOT
from tests.intake.formats import Truth, make_truth
from tests.intake.importing import VIEWS
from tests.project import copy_project, run
from tests.synthetic import SyntheticScene, make_scene, write_scene

# DVC outside the projects that say so, too: tests work offline.
os.environ["DVC_NO_ANALYTICS"] = "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a whole project as slow, and put first what is, so that no worker ends alone.

    Workers get whole files, by their names: pytest-xdist 3.8 does not see groups under pytest 9.2.
    """
    for item in items:
        if "built_project" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def scene() -> SyntheticScene:
    """Six 96 x 72 views of the synthetic world."""
    return make_scene()


@pytest.fixture
def scene_folder(scene: SyntheticScene, tmp_path: Path) -> Path:
    """The same world on disk in the layout of `data/raw/<scene>`, masks for views 1 and 4."""
    write_scene(scene, tmp_path / "raw", masked_views=(1, 4))
    return tmp_path / "raw"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project that is the current folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(ROOT / "params.yaml", folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def built_project(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A project with one small scene that `dvc repro` has built; copy it before changing it.

    Parallel workers share it: one builds, the others wait.
    """
    own = tmp_path_factory.getbasetemp()
    folder = (own if worker_id == "master" else own.parent) / "built"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            unfinished = tmp_path_factory.mktemp("unfinished")
            copy_project(unfinished)
            run(unfinished, "dvc", "init", "--quiet", "--no-scm")
            run(unfinished, "dvc", "repro")
            unfinished.rename(folder)
    return folder


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """A world that the formats of other tools are written from."""
    return make_truth(make_scene(VIEWS, 160, 120), tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="session")
def bent(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """Every photo with its own focal length, all distorted."""
    scene = make_scene(VIEWS, 160, 120, distortion=0.08, zoom=0.1)
    return make_truth(scene, tmp_path_factory.mktemp("bent"))
