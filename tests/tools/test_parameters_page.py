"""docs/parameters.md: every parameter has a sentence, and the page is what the code says today."""

import re

import pytest

from ovs3d.params import Preset
from tests.closure import ROOT
from tools.parameters_page import (
    COMMAND,
    PAGE,
    Parameter,
    page,
    parameters,
    scene_parameters,
    shared_parameters,
)

EVERY = [*shared_parameters(), *scene_parameters(), *parameters(Preset)]


@pytest.mark.parametrize("parameter", EVERY, ids=lambda parameter: parameter.key)
def test_every_parameter_has_a_sentence(parameter: Parameter) -> None:
    assert re.fullmatch(r"[A-Z`].*\.", parameter.meaning), "write one below the field"
    # A bar would end the cell of the table.
    assert "|" not in parameter.meaning


def test_sections_within_sections_are_found() -> None:
    keys = [parameter.key for parameter in EVERY]
    assert {"seed", "test_views", "poses.given", "distill.fda.offset"} <= set(keys)
    assert len(set(keys)) == len(keys)


def test_a_value_can_be_pasted_into_params_yaml() -> None:
    section = {"fda": {"lr": 5e-05}, "layer": None, "turn": False, "templates": ["{}"]}
    values = [Parameter(key, "").value(section) for key in ("fda.lr", "layer", "turn", "templates")]
    assert values == ["5.0e-05", "null", "false", "['{}']"]


def test_the_page_is_up_to_date() -> None:
    written = PAGE.read_text() if PAGE.exists() else ""
    assert written == page(ROOT / "params.yaml"), f"run `{COMMAND}`"
