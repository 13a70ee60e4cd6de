"""Questions to the volume of the two balls, and what a damaged one says."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ovs3d.errors import QueryError, StoreError
from ovs3d.language.lift import Lifter, LiftInputs
from ovs3d.language.store import NAME
from ovs3d.language.views import point_view
from ovs3d.language.volume import LanguageVolume, save_volume
from tests.language.world import WORDS, as_encoder, lift_params, make_inputs


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> LiftInputs:
    return make_inputs(tmp_path_factory.mktemp("volume") / "images")


@pytest.fixture(scope="module")
def folder(inputs: LiftInputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("volume")
    nouns = folder / "nouns.txt"
    nouns.write_text("\n".join(WORDS))
    own = lift_params(nouns=str(nouns))
    clip = SimpleNamespace(model="fake", weights="fake.bin")
    params: Any = SimpleNamespace(lift=own, clip_features=clip)
    save_volume(folder / NAME, Lifter(inputs, own).run(), inputs, params, as_encoder())
    return folder


@pytest.fixture(scope="module")
def volume(folder: Path) -> LanguageVolume:
    return LanguageVolume.open(folder, as_encoder())


def test_what_is_there_is_found_where_it_is(volume: LanguageVolume) -> None:
    red, blue = volume.find(["red ball", "blue ball"])
    for finding, side in ((red, -1), (blue, 1)):
        assert finding.found
        assert finding.known
        assert finding.peak[0] * side > 0
        right = volume.points[:, 0] * side > 0
        assert (finding.mask & right).sum() > 0.8 * right.sum()
        assert not (finding.mask & ~right).any()
        assert torch.equal(finding.mask, finding.relevancy >= 0.5)


def test_what_is_not_there_is_not_found(volume: LanguageVolume) -> None:
    animal, zebra = volume.find(["animal c", " zebra\n"])
    assert (animal.found, animal.known) == (False, True)
    assert (zebra.found, zebra.known) == (False, False)
    assert zebra.text == "zebra"
    assert not animal.mask.any()
    assert volume.find([]) == []


def test_a_negative_takes_its_points_away(volume: LanguageVolume) -> None:
    (plain,) = volume.relevancy(["red ball"])
    (without,) = volume.relevancy(["red ball"], ["red ball"])
    assert plain.max() > 0.9
    assert without.max() <= 0.5


def test_what_is_kept_has_the_documented_types(volume: LanguageVolume) -> None:
    count = len(volume)
    assert volume.points.shape == volume.normals.shape == volume.colours.shape == (count, 3)
    assert (volume.points.dtype, volume.normals.dtype) == (torch.float32, torch.float32)
    assert volume.colours.dtype == torch.uint8
    relevancy = volume.relevancy(["red ball", "animal c"])
    assert relevancy.shape == (2, count)
    assert 0 <= relevancy.min() <= relevancy.max() <= 1


def test_mistakes_in_texts_are_told(volume: LanguageVolume) -> None:
    with pytest.raises(QueryError, match="empty"):
        volume.find(["red ball", ""])
    with pytest.raises(QueryError, match="fewer words"):
        volume.relevancy(["red ball"], ["blue ball " * 20])


def test_another_encoder_is_told(folder: Path) -> None:
    other: Any = as_encoder()
    other.digest = "other"
    with pytest.raises(StoreError, match="not the CLIP model"):
        LanguageVolume.open(folder, other).relevancy(["animal c"])


def test_a_view_shows_the_values_of_the_points(inputs: LiftInputs, volume: LanguageVolume) -> None:
    view = point_view(volume, inputs.field, inputs.cameras, 2, 1)
    sides = (volume.points[:, 0] > 0).float()
    drawn = view.draw(torch.stack((torch.ones_like(sides), sides)))
    assert drawn.shape == (2, inputs.cameras.height, inputs.cameras.width)
    assert view.solid.any()
    torch.testing.assert_close(drawn[0][view.solid], torch.ones(int(view.solid.sum())))
    xy, _ = inputs.cameras.project(2, volume.points)
    columns, rows = xy.long().unbind(1)
    assert ((drawn[1][rows, columns] > 0.5) == (sides > 0.5)).float().mean() > 0.9


def test_missing_and_damaged_volumes_are_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="not built yet"):
        LanguageVolume.open(tmp_path)
    copy = tmp_path / NAME
    for path in folder.joinpath(NAME).rglob("*"):
        if path.is_file():
            target = copy / path.relative_to(folder / NAME)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    LanguageVolume.open(tmp_path)
    for file in sorted(copy.rglob("*")):
        if file.is_file():
            whole = file.read_bytes()
            file.write_bytes(whole[: len(whole) // 2])
            with pytest.raises(StoreError, match="no readable language volume"):
                LanguageVolume.open(tmp_path)
            file.write_bytes(whole)
