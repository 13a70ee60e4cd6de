"""The table over scenes."""

from pathlib import Path

import pytest

from ovs3d.errors import StoreError
from ovs3d.evaluation.summary import summarize_scenes, table_rows
from ovs3d.files import write_json

BED = {
    "miou": 0.8,
    "accuracy": 0.9,
    "psnr": 25.0,
    "ssim": 0.8,
    "per_class": {"cat": 0.8},
    "protocol": {"scored": "validation"},
}
SOFA = {"psnr": 23.0, "ssim": 0.6, "per_class": {}, "protocol": {"scored": "test"}}


def test_summarize_scenes_averages_what_there_is(tmp_path: Path) -> None:
    write_json(tmp_path / "bed" / "metrics.json", BED)
    write_json(tmp_path / "sofa" / "metrics.json", SOFA)
    # A scene that params.yaml no longer lists.
    write_json(tmp_path / "lawn" / "metrics.json", {"psnr": 0.0})
    summary = summarize_scenes(tmp_path, ["bed", "sofa"])
    assert summary == {
        "miou": 0.8,
        "accuracy": 0.9,
        "psnr": 24.0,
        "ssim": 0.7,
        "scenes": {
            "bed": {
                "miou": 0.8,
                "accuracy": 0.9,
                "psnr": 25.0,
                "ssim": 0.8,
                "scored": "validation",
            },
            "sofa": {"psnr": 23.0, "ssim": 0.6, "scored": "test"},
        },
    }
    rows = table_rows(summary)
    assert rows == [
        ("scene", "views", "mIoU", "accuracy", "PSNR", "SSIM"),
        ("bed", "validation", "0.8", "0.9", "25", "0.8"),
        ("sofa", "test", "-", "-", "23", "0.6"),
        ("mean", "", "0.8", "0.9", "24", "0.7"),
    ]


def test_table_of_one_scene_has_no_mean_and_no_column_twice() -> None:
    numbers = {"miou": 0.8, "accuracy": 0.9, "psnr": 25.0, "ssim": 0.75}
    gaps = {"miou_uncovered_wrong": 0.8, "accuracy_uncovered_wrong": 0.85}
    rows = table_rows({**numbers, **gaps, "scenes": {"bed": {**numbers, **gaps, "scored": "test"}}})
    assert rows == [
        ("scene", "views", "mIoU", "accuracy", "PSNR", "SSIM", "accuracy, gaps wrong"),
        ("bed", "test", "0.8", "0.9", "25", "0.75", "0.85"),
    ]


def test_summarize_scenes_of_none_is_empty(tmp_path: Path) -> None:
    assert summarize_scenes(tmp_path, []) == {"scenes": {}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "does not exist; run stage evaluate", id="missing"),
        pytest.param("{", "holds no metrics", id="cut off"),
        pytest.param('{"miou": null}', "holds no metrics", id="no number"),
        pytest.param("[1]", "holds no metrics", id="other shape"),
        pytest.param('{"psnr": 20.0}', "holds no metrics", id="of an earlier version"),
    ],
)
def test_summarize_scenes_tells_what_is_wrong(
    tmp_path: Path, content: str | None, message: str
) -> None:
    (tmp_path / "bed").mkdir()
    if content is not None:
        (tmp_path / "bed" / "metrics.json").write_text(content)
    with pytest.raises(StoreError, match=f"bed/metrics.json {message}"):
        summarize_scenes(tmp_path, ["bed"])
