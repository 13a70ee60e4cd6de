"""Scaling curves: what an entry says, which curves a run replaces, that they can be drawn."""

import json
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.harness import Measurement, Sample
from benchmarks.report import write_curves
from benchmarks.scaling import Curve, all_curves, measure_curve, plot


def curve(stage: str = "distill", driver: str = "labels") -> Curve:
    return Curve(stage, driver, (10, 40), lambda value: value, lambda _: Sample(1))


def test_growth_compares_time_with_its_driver() -> None:
    def run(_module: str, *arguments: str) -> Measurement:
        return Measurement(Sample(float(arguments[-1]) ** 0.5), peak_mb=7, total_mb=9)

    entry = measure_curve(curve(), run)
    assert entry["seconds"] == [pytest.approx(3.162), pytest.approx(6.325)]
    assert entry["growth"] == 0.5
    assert entry["peak_mb"] == [7, 7]


def test_writing_keeps_other_curves_and_draws_all(tmp_path: Path) -> None:
    def entry(stage: str, seconds: float) -> dict[str, object]:
        points = {"values": [10, 40], "seconds": [seconds, seconds], "peak_mb": [5.0, 6.0]}
        rest = {"growth": 0.25, "remark": "because", "environment": {"processor": stage}}
        return {"stage": stage, "driver": "labels", **points, **rest}

    order = [("clip", "labels"), ("distill", "labels")]
    write_curves([entry("distill", 1), entry("clip", 2)], order, tmp_path)
    kept = write_curves([entry("distill", 3), entry("gone", 1)], order, tmp_path)
    written = json.loads((tmp_path / "scaling.json").read_text())["curves"]
    assert written == kept
    assert [(e["stage"], e["seconds"][0]) for e in written] == [("clip", 2), ("distill", 3)]
    assert "| distill | labels | 10, 40 | 3, 3 |" in (tmp_path / "RESULTS.md").read_text()
    assert "because, processor distill |" in (tmp_path / "RESULTS.md").read_text()
    plot(kept, tmp_path / "scaling.png")
    with Image.open(tmp_path / "scaling.png") as picture:
        assert picture.width > picture.height


def test_curves_grow_and_have_names_of_their_own() -> None:
    curves = all_curves()
    assert len({(c.stage, c.driver) for c in curves}) == len(curves)
    for found in curves:
        assert list(found.values) == sorted(set(found.values))
        assert len(found.values) > 1
