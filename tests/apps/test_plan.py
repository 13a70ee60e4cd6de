"""`ovs3d plan`: counts that can be checked, and estimates that move as they should."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from ovs3d.apps import cli
from ovs3d.apps.costs import Costs, matched_pairs, pose_seconds, scene_costs
from ovs3d.apps.plan import duration
from ovs3d.apps.scene_sizes import SceneShape
from ovs3d.features.extract_clip import scene_windows
from ovs3d.params import Preset, load_scene_params
from ovs3d.poses.pairs import photo_pairs
from ovs3d.poses.params import Matching
from tests.closure import ROOT

SHAPE = SceneShape(photos=30, width=640, height=480, labels=8, held_out=5)


@pytest.fixture(scope="module")
def stages() -> Preset:
    return load_scene_params(ROOT / "params.yaml", "demo").stages


@pytest.fixture(scope="module")
def costs(stages: Preset) -> Iterator[Costs]:
    with pytest.MonkeyPatch.context() as patch:
        # The models' paths are relative to it.
        patch.chdir(ROOT)
        yield scene_costs(stages, SHAPE, torch.device("cpu"))


def test_windows_and_tokens_are_those_that_the_stages_make(stages: Preset, costs: Costs) -> None:
    boxes = scene_windows((320, 240), stages.clip_features, 0, "0" * 64)
    assert sum(costs.sizes.windows) == len(boxes)
    assert costs.sizes.tokens == 60 * 80
    assert costs.sizes.clip_views == 30
    # Vectors of 128 float16, boxes of four int16; DINO's 192 float16.
    assert costs.disk["clip_features"] == 30 * len(boxes) * (128 * 2 + 8)
    assert costs.disk["dino_features"] == 30 * 4800 * 192 * 2


def test_every_stage_is_told(costs: Costs) -> None:
    assert list(costs.seconds) == list(Preset.model_fields)
    assert list(costs.memory) == list(Preset.model_fields)
    assert all(value > 0 for value in (*costs.seconds.values(), *costs.memory.values()))


@pytest.mark.parametrize("matching", ["auto", "exhaustive", "sequential"])
@pytest.mark.parametrize("count", [3, 40, 100])
def test_pairs_are_at_least_those_of_the_stage(matching: Matching, count: int) -> None:
    empty = torch.zeros(0, 128, dtype=torch.uint8).numpy()
    pairs = len(photo_pairs(count, matching, lambda _: empty, 0))
    assert pairs <= matched_pairs(count, matching) <= 2 * pairs + 200


def test_time_of_poses_grows_with_the_photos_not_their_square(stages: Preset) -> None:
    some, more = (pose_seconds(stages.poses, replace(SHAPE, photos=n)) for n in (100, 400))
    assert more == pytest.approx(4 * some)


@pytest.mark.parametrize(
    ("seconds", "text"), [(7.4, "7 s"), (130, "2.2 min"), (3000, "50 min"), (90000, "25 h")]
)
def test_times_are_told_in_their_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_command_prints_the_tables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert cli.main(["plan", "demo"]) == 0
    shown = capsys.readouterr().out
    assert "1064 + 2852 windows" in shown
    assert "distill" in shown
    assert "good to a factor of about two" in shown
    assert cli.main(["plan", "nowhere"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
