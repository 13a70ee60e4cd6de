"""A few of the faults of `python -m tests.faults`, on the cheapest stage that resumes."""

import pytest

from tests.faults.report import Outcome, disturb, table

FAULTS = ("SIGINT", "disk full")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """What these faults do to the extraction of DINO features."""
    work = tmp_path_factory.mktemp("faults")
    return disturb(["dino_features"], FAULTS, 0, work, lambda _: None)


@pytest.mark.slow
def test_a_disturbed_stage_repeated_leaves_the_bytes_of_an_undisturbed_one(
    outcomes: list[Outcome],
) -> None:
    assert [outcome.fault for outcome in outcomes] == list(FAULTS)
    assert all(outcome.good for outcome in outcomes), table(outcomes)


@pytest.mark.slow
def test_a_disturbed_stage_says_why_it_ended(outcomes: list[Outcome]) -> None:
    interrupted, full = outcomes
    assert interrupted.code != 0
    assert full.code != 0
    assert "the disk or the quota is full" in full.message


def test_outcome_with_other_bytes_is_not_good() -> None:
    outcome = Outcome("poses", "SIGKILL", "at 5%", -9, "", True, 1.0, 1.0, 0, False, ("a|b",))
    assert not outcome.good
    assert "| **no**: a|b |" in table([outcome])
