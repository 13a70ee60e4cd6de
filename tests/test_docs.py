"""What README and docs show exists: commands, modules, targets, stages, files."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from ovs3d.apps.cli import COMMANDS
from tests.closure import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
LONGEST_README = 160
"""Lines; the rest belongs in docs."""


def code_of(page: Path) -> str:
    """Return the code blocks and the code within lines, one piece a line."""
    text = page.read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    return "\n".join([*blocks, *(re.sub(r"\s+", " ", span) for span in spans)])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_are_shown_exist(page: Path) -> None:
    code = code_of(page)
    for command in re.findall(r"^(?:\$ )?ovs3d ([a-z][a-z-]*)\b", code, re.MULTILINE):
        assert command in COMMANDS, f"{page.name}: ovs3d {command}"
    for module in re.findall(r"python -m ((?:tools|studies|benchmarks|tests|stages)[\w.]*)", code):
        assert find_spec(module), f"{page.name}: python -m {module}"
    for target in re.findall(r"^make ([a-z-]+)", code, re.MULTILINE):
        assert target in TARGETS, f"{page.name}: make {target}"
    for stage in re.findall(r"\b(\w+)@\w+", " ".join(re.findall(r"dvc repro.*", code))):
        assert stage in STAGES, f"{page.name}: dvc repro {stage}@..."


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert link.startswith("https://") or (page.parent / link).exists(), f"{page.name}: {link}"


def test_readme_is_read_in_five_minutes() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= LONGEST_README
