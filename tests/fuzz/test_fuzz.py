"""A short form of `python -m tests.fuzz`."""

import pytest

from tests.fuzz.formats import FORMATS
from tests.fuzz.run import fuzz

_EXAMPLES = {"COLMAP binary": 4}
"""A process of its own reads each of these."""


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_damaged_inputs_are_read_right_or_refused_in_one_line(name: str) -> None:
    examples = _EXAMPLES.get(name, 20)
    counts = fuzz(name, examples, seed_number=1)
    assert counts["taken"] + counts["refused"] >= examples // 2
