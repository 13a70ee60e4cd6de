import pytest
import torch

from ovs3d.asking import Asking, answered, in_turns


def work(name: str, done: list[str]) -> Asking[str]:
    total = 0
    for number in (1, 2):
        done.append(f"{name}{number}")
        total += yield torch.tensor(number)
    return f"{name}: {total}"


@pytest.mark.parametrize(
    ("at_a_time", "order"),
    [(1, "a1 a2 b1 b2 c1 c2"), (2, "a1 b1 a2 b2 c1 c2"), (3, "a1 b1 c1 a2 b2 c2")],
)
def test_work_goes_on_in_turns_and_ends_in_order(at_a_time: int, order: str) -> None:
    done: list[str] = []
    results = list(in_turns((work(name, done) for name in "abc"), at_a_time))
    assert results == ["a: 3", "b: 3", "c: 3"]
    assert done == order.split()


def test_one_piece_of_work_is_answered() -> None:
    assert answered(work("a", [])) == "a: 3"
