"""Suites, folders of scenes, and parameters of a row."""

import json
from pathlib import Path

import pytest

from ovs3d.errors import ParamsError, SceneError
from studies.rows import ROWS, Row, choose_rows
from studies.scenes import Scene, load_scenes
from studies.settings import make_params
from tests.synthetic import SyntheticScene, write_scene


@pytest.fixture
def suite(scene: SyntheticScene, tmp_path: Path) -> Path:
    entries = {
        "one": {"split": "dev", "val_views": [1], "test_views": [4]},
        "two": {"split": "test", "val_views": [], "test_views": [4, 1]},
    }
    for name in entries:
        write_scene(scene, tmp_path / name, masked_views=(1, 4))
    (tmp_path / "suite.json").write_text(json.dumps(entries))
    return tmp_path


def test_a_split_of_a_suite(suite: Path) -> None:
    (one,) = load_scenes(suite, "dev")
    assert (one.name, one.scored("val"), one.scored("test")) == ("one", (1,), (4,))
    assert one.held_out == (1, 4)
    assert [scene.name for scene in load_scenes(suite, "all")] == ["one", "two"]
    (two,) = load_scenes(suite, "test")
    with pytest.raises(SceneError, match="has no val views"):
        two.scored("val")


def test_a_folder_without_a_suite_scores_all_masks(suite: Path) -> None:
    (suite / "suite.json").unlink()
    assert load_scenes(suite, "test") == [
        Scene(name, suite / name, (), (1, 4)) for name in ("one", "two")
    ]


def test_views_of_the_suite_must_be_those_with_masks(suite: Path) -> None:
    entry = {"one": {"split": "dev", "val_views": [1], "test_views": []}}
    (suite / "suite.json").write_text(json.dumps(entry))
    with pytest.raises(SceneError, match=r"one has views \[1\], but masks of \[1, 4\]"):
        load_scenes(suite, "dev")
    with pytest.raises(SceneError, match="no scenes of split test"):
        load_scenes(suite, "test")


@pytest.mark.usefixtures("project")
def test_dotted_keys_change_one_value(suite: Path) -> None:
    scene = load_scenes(suite, "dev")[0]
    file = suite / "params.yaml"
    plain = make_params(scene, "tiny", {}, 3, file)
    changed = make_params(scene, "tiny", {"distill.losses.rda": 0}, 3, file)
    assert (plain.seed, plain.split) == (3, "held_out")
    assert (plain.val_views, plain.test_views) == ((1,), (4,))
    assert changed.stages.distill.losses.rda == 0
    expected = plain.stages.distill.losses.model_copy(update={"rda": 0.0})
    assert changed.stages.distill.losses == expected
    with pytest.raises(ParamsError, match=r"distill\.losses\.rdo: unknown key"):
        make_params(scene, "tiny", {"distill.losses.rdo": 0}, 0, file)
    with pytest.raises(ParamsError, match="seed: does not begin with a stage"):
        make_params(scene, "tiny", {"seed": 0}, 0, file)


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.name)
def test_every_row_has_valid_parameters_and_code(row: Row, suite: Path) -> None:
    make_params(load_scenes(suite, "dev")[0], "tiny", row.overrides, 0, suite / "params.yaml")
    root = Path(__file__).parents[2]
    assert all((root / file).is_file() for file in row.files)


def test_rows_by_name_and_group() -> None:
    assert [row.name for row in choose_rows(["gap", "full"])] == ["full", "gap"]
    assert {row.group for row in choose_rows(["statistics"])} == {"statistics"}
    assert len(choose_rows([])) == len(ROWS)
    with pytest.raises(ParamsError, match="no row 'ful'; did you mean 'full'"):
        choose_rows(["ful"])
