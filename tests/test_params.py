"""`params.yaml` and its checks: presets, overrides, and errors that name the dotted key."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ovs3d.errors import ParamsError
from ovs3d.params import Preset, load_scene_params, scene_names

PARAMS_FILE = Path(__file__).parent.parent / "params.yaml"
DOCUMENT = yaml.safe_load(PARAMS_FILE.read_text())
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write the repo's params.yaml with values set, or removed where None, by dotted key."""

    def write_changed(changes: dict[str, Any]) -> Path:
        document = copy.deepcopy(DOCUMENT)
        for dotted, value in changes.items():
            *parents, last = dotted.split(".")
            section = document
            for key in parents:
                section = section[key]
            if value is None:
                del section[last]
            else:
                section[last] = value
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    return write_changed


def entry(preset: str, **sections: dict[str, Any]) -> dict[str, Any]:
    """Return a scene's entry with empty sections unless given."""
    empty: dict[str, Any] = {name: {} for name in Preset.model_fields}
    return {"preset": preset, "val_views": [], "test_views": [], **empty, **sections}


@pytest.mark.parametrize("scene", DOCUMENT["scenes"])
def test_every_scene_of_the_repo_loads(scene: str) -> None:
    params = load_scene_params(PARAMS_FILE, scene)
    assert params.seed == DOCUMENT["seed"]
    assert list(params.val_views) == DOCUMENT["scenes"][scene]["val_views"]
    assert list(params.test_views) == DOCUMENT["scenes"][scene]["test_views"]


@pytest.mark.parametrize("preset", ["tiny", "photos", "paper"])
def test_every_preset_loads_as_it_is_written(preset: str, write: Write) -> None:
    path = write({"scenes.bench": entry(preset)})
    stages = load_scene_params(path, "bench").stages
    assert stages.model_dump(mode="json") == DOCUMENT[preset]


def test_photos_differs_from_tiny_in_no_loss(write: Write) -> None:
    """Their losses are in units that do not depend on the encoder."""
    path = write({"scenes.bench": entry("photos")})
    photos, tiny = (load_scene_params(path, name).stages for name in ("bench", "demo"))
    assert photos.distill.model_dump(exclude={"downscale"}) == tiny.distill.model_dump(
        exclude={"downscale"}
    )


def test_scene_names_keep_the_order_of_the_file(write: Write) -> None:
    path = write({"scenes": {"zoo": entry("tiny"), "attic": entry("paper")}})
    # safe_dump sorts keys; the file as written is what counts.
    assert scene_names(path) == ["attic", "zoo"]
    path.write_text("scenes:\n  zoo: {}\n  attic: {}\n")
    assert scene_names(path) == ["zoo", "attic"]


def test_override_changes_its_value_and_nothing_else(write: Write) -> None:
    override = {"iterations": 7, "fda": {"negative": 0.22}}
    path = write({"scenes.bench": entry("paper", distill=override)})
    stages = load_scene_params(path, "bench").stages
    expected = copy.deepcopy(DOCUMENT["paper"])
    expected["distill"]["iterations"] = 7
    expected["distill"]["fda"]["negative"] = 0.22
    assert stages.model_dump(mode="json") == expected


def test_override_replaces_a_list_as_a_whole(write: Write) -> None:
    path = write({"scenes.demo.clip_features": {"window_divisors": [3]}})
    assert load_scene_params(path, "demo").stages.clip_features.window_divisors == (3.0,)


def test_params_cannot_be_changed_after_loading() -> None:
    params = load_scene_params(PARAMS_FILE, "demo")
    with pytest.raises(ValueError, match="frozen"):
        params.stages.poses.max_features = 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"tiny.distill.fda.negativ": 0.2},
            r"tiny\.distill\.fda\.negativ: unknown key; did you mean 'negative'\?",
            id="unknown in a preset",
        ),
        pytest.param(
            {"tiny.poses.qqqq": 1},
            r"tiny\.poses\.qqqq: unknown key; known: camera_model, matching, max_features",
            id="unknown and like nothing",
        ),
        pytest.param(
            {"scenes.demo.distill": {"iteration": 5}},
            r"scenes\.demo\.distill\.iteration: unknown key; did you mean 'iterations'\?",
            id="unknown in an override",
        ),
        pytest.param(
            {"scenes.demo.distil": {}},
            r"scenes\.demo\.distil: unknown key; did you mean 'distill'\?",
            id="unknown section of a scene",
        ),
        pytest.param(
            {"tiny.render.frames": None, "tiny.render.frmaes": 3},
            r"tiny\.render\.frmaes: unknown key; did you mean 'frames'\?",
            id="misspelt, so that the right one is missing",
        ),
        pytest.param(
            {"tiny.reconstruct.batch": None}, r"tiny\.reconstruct\.batch: missing", id="missing"
        ),
        pytest.param({"tiny.render": None}, r"tiny\.render: missing", id="missing section"),
        pytest.param({"seed": None}, r"params\.yaml: seed: missing", id="missing seed"),
        pytest.param(
            {"scenes.demo.preset": None}, r"scenes\.demo\.preset: missing", id="missing preset"
        ),
        pytest.param(
            {"tiny.poses.min_registered": 1.5},
            r"tiny\.poses\.min_registered: .*less than or equal to 1, got 1\.5",
            id="out of range",
        ),
        pytest.param(
            {"scenes.demo.reconstruct": {"iterations": 0}},
            r"scenes\.demo\.reconstruct\.iterations: .*greater than or equal to 1, got 0",
            id="out of range in an override",
        ),
        pytest.param(
            {"tiny.distill.losses.rda": -1}, r"tiny\.distill\.losses\.rda: .*got -1", id="negative"
        ),
        pytest.param(
            {"tiny.distill.fda.divergence": "jsd"},
            r"tiny\.distill\.fda\.divergence: .*'js' or 'kl', got 'jsd'",
            id="no such choice",
        ),
        pytest.param(
            {"scenes.demo.poses": {"camera_model": "OPENCV_FISHEYE"}},
            r"scenes\.demo\.poses\.camera_model: .*'SIMPLE_PINHOLE', .* got 'OPENCV_FISHEYE'",
            id="no such camera model",
        ),
        pytest.param(
            {"tiny.distill.selection": "learnt"},
            r"selection: expected 'learned' or 'mean' or a whole number, got 'learnt'",
            id="no such choice in a union",
        ),
        pytest.param(
            {"tiny.distill.selection": 3},
            r"tiny\.distill\.selection: 3, but .*window_divisors has 2 values; scales count",
            id="no such scale",
        ),
        pytest.param(
            {"scenes.demo.clip_features": {"window_divisors": [5]}, "tiny.distill.selection": 1},
            r"scenes\.demo\.distill\.selection: 1, but .*window_divisors has 1 values",
            id="no such scale of a scene",
        ),
        pytest.param(
            {"tiny.clip_features.batch": "many"},
            r"tiny\.clip_features\.batch: expected a whole number, got 'many'",
            id="wrong type",
        ),
        pytest.param(
            {"tiny.reconstruct.lr_decay": "three"},
            r"tiny\.reconstruct\.lr_decay: expected a number, got 'three'",
            id="word for a number",
        ),
        pytest.param(
            {"memory_budget": "much"},
            r"memory_budget: expected 'auto' or a number, got 'much'",
            id="word for a number in a union",
        ),
        pytest.param(
            {"tiny.poses": [1]},
            r"tiny\.poses: expected a section of keys, got \[1\]",
            id="list for a section",
        ),
        pytest.param({"device": "gpu"}, r"params\.yaml: device: .*got 'gpu'", id="shared choice"),
        pytest.param(
            {"scenes.demo.test_views": [2, 2]},
            r"scenes\.demo\.test_views: names a view twice$",
            id="test view twice",
        ),
        pytest.param(
            {"scenes.demo.val_views": [3, 5, 3]},
            r"scenes\.demo\.val_views: names a view twice$",
            id="validation view twice",
        ),
        pytest.param(
            {"scenes.demo.val_views": [3, 8]},
            r"scenes\.demo\.val_views: view 8 is in test_views too; a view that steers choices",
            id="validation view in the test",
        ),
        pytest.param(
            {"scenes.demo.val_views": None}, r"scenes\.demo\.val_views: missing", id="no val_views"
        ),
        pytest.param(
            {"scenes.demo.test_views": [-1]}, r"scenes\.demo\.test_views\.0: .*-1", id="test view"
        ),
        pytest.param(
            {"scenes.demo.preset": "tinny"},
            r"scenes\.demo\.preset is 'tinny', .*no such preset; did you mean 'tiny'\?",
            id="unknown preset",
        ),
        pytest.param(
            {"scenes.demo.preset": "seed"}, r"preset is 'seed', .*no such preset", id="no preset"
        ),
    ],
)
def test_bad_value_is_told_in_one_line(write: Write, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message) as raised:
        load_scene_params(write(changes), "demo")
    assert "\n" not in str(raised.value)


def test_unknown_scene_names_the_nearest() -> None:
    with pytest.raises(ParamsError, match=r"no scene 'dmo' under scenes; did you mean 'demo'\?"):
        load_scene_params(PARAMS_FILE, "dmo")


def test_missing_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"params\.yaml does not exist; run from the folder"):
        load_scene_params(tmp_path / "params.yaml", "demo")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", r"params\.yaml is not valid YAML: "),
        ("- a\n- b\n", r"params\.yaml must hold a mapping"),
        ("", r"params\.yaml must hold a mapping"),
    ],
    ids=["broken", "list", "empty"],
)
def test_file_that_is_no_mapping_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ParamsError, match=message) as raised:
        load_scene_params(tmp_path / "params.yaml", "demo")
    assert "\n" not in str(raised.value)


def test_scenes_that_are_a_list_are_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("scenes: [demo]\n")
    with pytest.raises(ParamsError, match="scenes must map names to settings"):
        load_scene_params(path, "demo")


def test_an_empty_preset_is_named_without_a_stray_dot(tmp_path: Path) -> None:
    content = yaml.safe_load(PARAMS_FILE.read_text())
    content["tiny"] = None
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ParamsError, match="tiny: "):
        load_scene_params(path, "demo")
