"""Downscales for photos of other sizes than those of the preset's authors."""

import shutil
from pathlib import Path

import pytest

from ovs3d.apps.downscales import fitting_downscales
from ovs3d.apps.findings import check_downscales
from ovs3d.apps.params_entry import entry_lines, insert_scene
from ovs3d.params import load_preset, load_scene_params
from ovs3d.scene.dataset import Photos
from tests.closure import ROOT

PAPER = load_preset(ROOT / "params.yaml", "paper")


def test_large_photos_take_the_presets_own() -> None:
    own = {
        section: getattr(PAPER, section).downscale for section in fitting_downscales(PAPER, 1, 1)
    }
    assert fitting_downscales(PAPER, 4032, 3024) == own


@pytest.mark.parametrize(
    ("size", "expected"),
    [((994, 738), (2, 1.2, 1, 2, 1, 1)), ((300, 200), (1, 1, 1, 1, 1, 1))],
    ids=["3D-OVS", "smaller than all working images"],
)
def test_small_photos_are_hardly_shrunk(size: tuple[int, int], expected: tuple[float, ...]) -> None:
    assert tuple(fitting_downscales(PAPER, *size).values()) == expected


def test_larger_photos_are_shrunk_more() -> None:
    assert fitting_downscales(PAPER, 8064, 6048)["distill"] == 16


@pytest.mark.parametrize(
    ("preset", "downscales", "told"),
    [("paper", {}, True), ("paper", {"distill": 2}, True), ("paper", None, False), ("tiny", {}, 0)],
    ids=["preset's own", "one forgotten", "fitting", "preset of the demo"],
)
def test_check_names_the_overrides_that_are_missing(
    tmp_path: Path, preset: str, downscales: dict[str, float] | None, told: bool
) -> None:
    photos = Photos((), 994, 738)
    if downscales is None:
        downscales = fitting_downscales(PAPER, photos.width, photos.height)
    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    path.write_bytes(insert_scene(path, entry_lines("vase", preset, (), (), downscales)))
    params = load_scene_params(path, "vase")
    found = list(check_downscales("vase", photos, params, load_preset(path, preset)))
    assert len(found) == told
    for finding in found:
        assert "set under scenes.vase" in finding.text
        assert "dino_features: {downscale: 1.2}" in finding.text
        assert ("distill: {downscale: 2}" in finding.text) == ("distill" not in downscales)
