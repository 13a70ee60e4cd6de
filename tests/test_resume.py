import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ovs3d.resume import Checkpoint
from tests.damage import flip_bit

CPU = torch.device("cpu")
CODE = {"a.py": "3c"}


def test_a_saved_state_comes_back_as_it_was(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(5)
    state: dict[str, Any] = {
        "weights": torch.randn(3, generator=generator),
        "generator": generator.get_state(),
        "grid": (4, 5, 6),
        "history": [{"step": 50, "loss": 0.1}],
    }
    Checkpoint(tmp_path / "unfinished.pt", CODE, {"seed": 0}).save(state)
    loaded = Checkpoint(tmp_path / "unfinished.pt", CODE, {"seed": 0}).load(CPU)
    assert loaded is not None
    assert torch.equal(loaded["weights"], state["weights"])
    assert torch.equal(loaded["generator"], state["generator"])
    assert loaded["grid"] == (4, 5, 6)
    assert loaded["history"] == [{"step": 50, "loss": 0.1}]


def test_a_state_made_from_something_else_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "unfinished.pt"
    Checkpoint(path, CODE, {"seed": 0}).save({"step": 3})
    assert Checkpoint(path, CODE, {"seed": 1}).load(CPU) is None
    assert Checkpoint(path, CODE, {"seed": 0}).load(CPU) == {"step": 3}


def test_a_state_of_other_code_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "unfinished.pt"
    Checkpoint(path, CODE, {"seed": 0}).save({"step": 3})
    assert Checkpoint(path, {"a.py": "9f"}, {"seed": 0}).load(CPU) is None


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: path.unlink(), id="missing"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:400]), id="cut"),
        pytest.param(lambda path: path.write_text("not an archive"), id="text"),
        pytest.param(lambda path: torch.save([1, 2], path), id="foreign"),
    ],
)
def test_a_damaged_state_is_passed_over(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    path = tmp_path / "unfinished.pt"
    checkpoint = Checkpoint(path, CODE, {"seed": 0})
    checkpoint.save({"values": torch.arange(1000.0)})
    damage(path)
    assert checkpoint.load(CPU) is None


def test_a_changed_bit_never_comes_back_as_another_state(tmp_path: Path) -> None:
    path = tmp_path / "unfinished.pt"
    checkpoint = Checkpoint(path, CODE, {"seed": 0})
    values = torch.arange(300.0)
    checkpoint.save({"values": values})
    good = path.read_bytes()
    refused = 0
    for seed in range(400):
        path.write_bytes(good)
        flip_bit(path, seed)
        loaded = checkpoint.load(CPU)
        refused += loaded is None
        # Padding between the parts of the archive means nothing.
        assert loaded is None or torch.equal(loaded["values"], values)
    assert refused > 200


def test_saving_is_due_after_a_pause_that_grows_with_what_saving_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    checkpoint = Checkpoint(tmp_path / "unfinished.pt", CODE, {})
    assert not checkpoint.due
    now += 15
    assert checkpoint.due

    def slow_save(_content: object, _file: object) -> None:
        nonlocal now
        now += 2

    monkeypatch.setattr(torch, "save", slow_save)
    checkpoint.save({})
    now += 39
    assert not checkpoint.due
    now += 1
    assert checkpoint.due


def test_removing_leaves_nothing(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "unfinished.pt", CODE, {})
    checkpoint.save({"step": 1})
    checkpoint.remove()
    checkpoint.remove()
    assert list(tmp_path.iterdir()) == []
