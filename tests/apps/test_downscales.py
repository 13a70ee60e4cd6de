"""Downscales for photos of other sizes than those that a preset is made for."""

import shutil
from pathlib import Path

import pytest

from ovs3d.apps.downscales import fitting_downscales
from ovs3d.apps.findings import check_downscales
from ovs3d.apps.params_entry import entry_lines, insert_scene
from ovs3d.params import Preset, load_preset, load_scene_params
from ovs3d.photos.dataset import Photos
from tests.closure import ROOT

PAPER, PHOTOS = (load_preset(ROOT / "params.yaml", name) for name in ("paper", "photos"))


@pytest.mark.parametrize(
    ("name", "preset", "size"), [("paper", PAPER, (4032, 3024)), ("photos", PHOTOS, (1600, 1200))]
)
def test_photos_that_a_preset_is_made_for_take_its_own(
    name: str, preset: Preset, size: tuple[int, int]
) -> None:
    fitting = fitting_downscales(name, preset, *size)
    assert fitting == {section: getattr(preset, section).downscale for section in fitting}
    assert len(fitting) == 7


@pytest.mark.parametrize(
    ("name", "preset", "size", "expected"),
    [
        pytest.param("paper", PAPER, (994, 738), (2, 1.2, 1, 2, 2, 1, 1), id="paper, 3D-OVS"),
        pytest.param("paper", PAPER, (300, 200), (1, 1, 1, 1, 1, 1, 1), id="paper, very small"),
        pytest.param("photos", PHOTOS, (994, 738), (1, 1.2, 1, 2, 2, 1, 1), id="photos, 3D-OVS"),
        pytest.param("photos", PHOTOS, (4032, 3024), (5, 5.0, 5, 10, 10, 5, 5), id="photos, large"),
    ],
)
def test_stages_see_as_much_of_other_photos(
    name: str, preset: Preset, size: tuple[int, int], expected: tuple[float, ...]
) -> None:
    assert tuple(fitting_downscales(name, preset, *size).values()) == expected


def test_larger_photos_are_shrunk_more() -> None:
    assert fitting_downscales("paper", PAPER, 8064, 6048)["distill"] == 16


def test_a_preset_of_no_size_has_no_fitting_downscales() -> None:
    assert fitting_downscales("mine", PHOTOS, 4032, 3024) == {}


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
        downscales = fitting_downscales("paper", PAPER, photos.width, photos.height)
    path = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", path)
    overrides = {section: {"downscale": value} for section, value in downscales.items()}
    path.write_bytes(insert_scene(path, entry_lines("vase", preset, (), (), overrides)))
    params = load_scene_params(path, "vase")
    found = list(check_downscales("vase", photos, params, load_preset(path, preset)))
    assert len(found) == told
    for finding in found:
        assert "set under scenes.vase" in finding.text
        assert "dino_features: {downscale: 1.2}" in finding.text
        assert ("distill: {downscale: 2}" in finding.text) == ("distill" not in downscales)
