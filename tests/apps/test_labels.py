"""`ovs3d labels` on a small store: the picture, the table, and mistakes in one line."""

import io
import shutil
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch.nn.functional import normalize

from ovs3d.apps.cli import main
from ovs3d.apps.labels import competition_table, try_labels
from ovs3d.errors import StoreError
from ovs3d.evaluation.competition import compete
from ovs3d.features.store import FeatureStore
from ovs3d.photos.dataset import Photos, open_photos
from tests.features.stores import ATTRIBUTES, DIM, SIZE, VIEWS, make_store
from tests.synthetic import make_scene, write_scene

LABELS = ("red box", "wall", "floor")
SCALE: int = ATTRIBUTES["downscale"]


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    """Photos whose working images are those of the store."""
    scene = make_scene(max(VIEWS) + 1, SIZE[0] * SCALE, SIZE[1] * SCALE)
    write_scene(scene, tmp_path)
    return open_photos(tmp_path / "images")


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return make_store(tmp_path / "clip.zarr")


def text(count: int) -> torch.Tensor:
    return normalize(torch.randn(count, DIM, generator=torch.Generator().manual_seed(1)), dim=1)


def test_competition_is_that_of_the_stored_pixels(photos: Photos, store: FeatureStore) -> None:
    vectors = text(len(LABELS))
    found, picture = try_labels(photos, store, VIEWS, LABELS, vectors)
    features = store.load(VIEWS, vectors.device)
    cosines = [features.relevancy(view, vectors).mean(dim=1).flatten(1) for view in VIEWS]
    assert (found.shares == compete(torch.cat(cosines, dim=1), vectors).shares).all()
    one = try_labels(photos, store, VIEWS[:1], LABELS, vectors)[1]
    assert picture.width > len(VIEWS) * one.width


def test_table_starts_with_labels_that_win_nowhere() -> None:
    cosines = torch.tensor([[0.9, 0.8], [0.1, 0.1], [0.2, 0.3]])
    shown = io.StringIO()
    console = Console(width=120, file=shown)
    console.print(competition_table(compete(cosines, text(3)), LABELS))
    lines = [line for line in shown.getvalue().splitlines() if line.startswith("│")]
    assert "wall" in lines[0]
    assert "wins nowhere" in lines[0]
    assert "100.0%" in lines[2]
    assert "floor: 100%, by 0.600" in lines[2]


@pytest.mark.parametrize("command", ["labels", "export-features"])
def test_features_that_are_not_built_are_told_with_the_remedy(
    project: Path, scene_folder: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    shutil.copytree(scene_folder, project / "data/raw/demo")
    assert main([command, "demo"]) == 2
    assert capsys.readouterr().err.endswith(
        "clip.zarr: not built yet; run `dvc repro clip_features@demo`\n"
    )


def test_store_of_other_photos_is_told(photos: Photos, store: FeatureStore) -> None:
    store.width += 1
    with pytest.raises(StoreError, match="photos of another size"):
        try_labels(photos, store, VIEWS[:1], LABELS, text(3))
