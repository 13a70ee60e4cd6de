"""The check of the GPU path, with a pretend device in the place of a card."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import gpu_check
from benchmarks.cases.distill import TINY, Setting
from benchmarks.gpu_agreement import Row
from tests.devices import elsewhere


def small() -> Setting:
    sizes = replace(
        TINY.sizes,
        photo=(96, 72),
        views=2,
        grid=16,
        labels=3,
        dim=16,
        token_dim=12,
    )
    return replace(TINY, changes={"batch": 64, "patches": 2, "patch_tokens": 4}, sizes=sizes)


@pytest.mark.slow
def test_a_device_that_computes_as_the_cpu_passes_every_row(tmp_path: Path) -> None:
    with elsewhere() as device:
        rows = gpu_check.run(gpu_check.shape_checks("made up", small(), device, calls=1))
    assert gpu_check.report(rows, "none", tmp_path / "gpu.json") == 0
    content = json.loads((tmp_path / "gpu.json").read_text())
    names = [row["name"] for row in content["rows"]]
    assert len(names) == len(set(names))
    for looked_at in ("loss fda", "loss color", "gradients", "another label", "twice", "seconds"):
        assert any(looked_at in name for name in names), looked_at
    assert all(row["value"] is not None for row in content["rows"])


@pytest.mark.parametrize("value", [0.2, math.nan])
def test_a_row_above_its_limit_fails_the_check(tmp_path: Path, value: float) -> None:
    rows = [Row("good", 0.1, 0.1), Row("told", 9.0), Row("bad", value, 0.1)]
    assert gpu_check.report(rows, "none", tmp_path / "gpu.json") == 1
    content = json.loads((tmp_path / "gpu.json").read_text())
    assert [row["failed"] for row in content["rows"]] == [False, False, True]


def test_a_check_that_breaks_off_fails_and_the_others_run() -> None:
    def full() -> list[Row]:
        raise torch.OutOfMemoryError("no memory left")

    rows = gpu_check.run([("first", full), ("second", lambda: [Row("second", 1.0)])])
    assert [(row.name, row.failed) for row in rows] == [("first", True), ("second", False)]
    assert rows[0].note == "no memory left"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_card_nothing_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_check.main() == 0
    assert "no CUDA GPU" in capsys.readouterr().err
