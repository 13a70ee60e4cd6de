"""Stores that an earlier run left: which are continued, which are started over, what tells them."""

import sys
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import open_clip
import PIL
import pytest
import timm
import torch

from ovs3d.features.clip_params import ClipFeaturesParams
from ovs3d.features.dino_params import DinoFeaturesParams
from ovs3d.features.extract import Extraction, Work, extract_here
from ovs3d.features.extract_clip import ClipWork
from ovs3d.features.extract_dino import DinoWork
from ovs3d.features.pipeline import Part, fill
from ovs3d.identity import code_digest
from ovs3d.photos.dataset import Photos
from tests.devices import elsewhere
from tests.features.test_store import contents

CPU = torch.device("cpu")
SEED = 7
VIEWS = (0, 1, 2, 3)


@pytest.fixture
def clip_work(photos: Photos, clip_params: ClipFeaturesParams) -> ClipWork:
    return ClipWork(photos, clip_params, SEED, VIEWS, 0)


@pytest.fixture
def dino_work(photos: Photos, dino_params: DinoFeaturesParams) -> DinoWork:
    return DinoWork(photos, dino_params)


@pytest.fixture(params=["clip", "dino"])
def work(request: pytest.FixtureRequest) -> Work:
    found: Work = request.getfixturevalue(f"{request.param}_work")
    return found


def test_interrupted_extraction_continues_to_the_same_bytes(work: Work, tmp_path: Path) -> None:
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    extract_here(work, CPU, whole / "store.zarr")
    extraction = work.prepare(CPU)
    store = extraction.resume(broken / "store.zarr")
    with closing(fill(store, VIEWS, extraction.load, workers=2)) as parts:  # type: ignore[type-var]
        next(view for view, _ in parts if view == VIEWS[2])
    array = next(path for path in (broken / "store.zarr").iterdir() if path.is_dir())
    (array / "c.2.0.12ab.partial").write_bytes(b"half a shard")
    assert extract_here(work, CPU, broken / "store.zarr").resumed == 2
    assert contents(broken) == contents(whole)


@dataclass(frozen=True)
class Unreadable(ClipWork):
    """Windows of photos that must not be read."""

    def prepare(self, device: torch.device) -> Extraction:
        def load(view: int) -> list[Part]:
            raise AssertionError(view)

        return replace(super().prepare(device), load=load)


def test_finished_extraction_is_not_repeated(
    photos: Photos, clip_params: ClipFeaturesParams, tmp_path: Path
) -> None:
    extract_here(ClipWork(photos, clip_params, SEED, VIEWS, 0), CPU, tmp_path / "clip.zarr")
    again = Unreadable(photos, clip_params, SEED, VIEWS, 0)
    assert extract_here(again, CPU, tmp_path / "clip.zarr").resumed == 4
    with pytest.raises(AssertionError):
        extract_here(replace(again, seed=SEED + 1), CPU, tmp_path / "clip.zarr")


def test_store_of_another_precision_is_started_over(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = extract_here(work, CPU, tmp_path / "store.zarr")
    assert first.store.attributes["precision"] == "float32"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"bf16": True}, raising=False)
    second = extract_here(work, CPU, tmp_path / "store.zarr")
    assert (second.store.attributes["precision"], second.resumed) == ("bfloat16", 0)


@pytest.mark.parametrize("package", [PIL, open_clip, timm, torch])
def test_store_of_another_version_of_a_package_is_started_over(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: ModuleType
) -> None:
    resumed = []
    for version in (package.__version__, package.__version__, "99.0.0"):
        monkeypatch.setattr(package, "__version__", version)
        resumed.append(extract_here(work, CPU, tmp_path / "store.zarr").resumed)
    kept = package is open_clip and isinstance(work, DinoWork)
    assert resumed == [0, 4, 4 if kept else 0]


def test_fingerprint_tells_kinds_of_devices_apart(work: Work) -> None:
    here = work.prepare(CPU).attributes
    with elsewhere() as place:
        there = work.prepare(place).attributes
    assert {key for key in here if here[key] != there[key]} == {"device"}


def test_fingerprint_has_the_code_of_its_extraction(
    clip_work: ClipWork, dino_work: DinoWork
) -> None:
    codes = [work.prepare(CPU).attributes["code"] for work in (clip_work, dino_work)]
    files = [sys.modules[type(work).__module__].__file__ for work in (clip_work, dino_work)]
    assert codes == [code_digest(str(file)) for file in files]
    assert codes[0] != codes[1]


def test_store_holds_no_absolute_path(work: Work, tmp_path: Path) -> None:
    extract_here(work, CPU, tmp_path / "store.zarr")
    paths = (tmp_path, work.photos.paths[0].parent, work.params.model)
    for name, content in contents(tmp_path).items():
        assert not [path for path in paths if str(path).encode() in content], name
