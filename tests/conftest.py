"""Fixtures that all tests share."""

import shutil
from pathlib import Path

import pytest

from tests.closure import ROOT
from tests.intake.formats import Truth, make_truth
from tests.intake.importing import VIEWS
from tests.project import copy_project, run
from tests.synthetic import SyntheticScene, make_scene, write_scene


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a whole project as slow, and share the tests out to parallel workers.

    A file stays together, for the fixtures of its module, and so does what needs the project, which
    one worker then builds. Slow ones come first, so that none is left to one worker at the end.
    """
    for item in items:
        group = item.nodeid.partition("::")[0]
        if "built_project" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
            group = "built project"
        item.add_marker(pytest.mark.xdist_group(group))
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
def built_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one small scene that `dvc repro` has built; copy it before changing it."""
    folder = tmp_path_factory.mktemp("built")
    copy_project(folder)
    run(folder, "dvc", "init", "--quiet", "--no-scm")
    run(folder, "dvc", "repro")
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
