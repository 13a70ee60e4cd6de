"""The contract between layout, stage graph and parameters; see README, "How it is built"."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ovs3d import params
from tests.closure import MODULES, ROOT

STAGES: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
# These have no numbers of their own.
SCENE_STAGES = [name for name in STAGES if name not in ("code", "summarize", "report")]
LIBRARY = sorted(path.relative_to(ROOT) for path in (ROOT / "ovs3d").rglob("*.py"))
SOURCES = sorted(
    path.relative_to(ROOT)
    for folder in ("ovs3d", "stages", "tools", "tests", "benchmarks", "studies")
    for path in (ROOT / folder).rglob("*.py")
)
PRESETS = ("tiny", "photos", "paper")
HELD_OUT = ("val_views", "test_views")
SHARED = {"seed", "device", "split", *(f"scenes.${{key}}.{name}" for name in HELD_OUT)}
# Lower layers first; a module may import its own layer and those before it.
LAYERS = (
    (
        "errors",
        "files",
        "plots",
        "device",
        "progress",
        "identity",
        "sections",
        "resume",
        "spill",
        "training",
    ),
    ("photos", "space"),
    ("field", "poses"),
    ("reconstruct", "features", "intake"),
    ("evaluation", "distill", "language"),
    # Files to take away; commands, stages and whatever shows a scene write them.
    ("exports",),
    # The loader knows the sections of all rooms.
    ("params", "project"),
    ("viewer",),
    ("apps",),
)


def body(stage: str) -> dict[str, Any]:
    content: dict[str, Any] = STAGES[stage].get("do", STAGES[stage])
    return content


def layer(file: Path) -> int:
    name = file.parts[1].removesuffix(".py")
    return next(index for index, names in enumerate(LAYERS) if name in names)


@pytest.mark.parametrize("stage", SCENE_STAGES)
def test_one_word_in_five_places(stage: str) -> None:
    class_name = "".join(word.capitalize() for word in stage.split("_")) + "Params"
    assert (ROOT / "stages" / f"{stage}.py").is_file()
    assert params.Preset.model_fields[stage].annotation is getattr(params, class_name)
    for preset in PRESETS:
        assert stage in PARAMS[preset]
    command = body(stage)["cmd"].split()
    assert command[:3] == ["python", "-m", f"stages.{stage}"]
    assert command[-1] == f"data/{stage}/${{key}}"
    listed = [
        path if isinstance(path, str) else next(iter(path))
        for kind in ("outs", "metrics", "plots")
        for path in body(stage).get(kind, [])
    ]
    assert all(path.startswith(f"data/{stage}/${{key}}") for path in listed)


@pytest.mark.parametrize("stage", SCENE_STAGES)
def test_stage_depends_on_its_section_and_its_override(stage: str) -> None:
    assert f"${{item.preset}}.{stage}" in body(stage)["params"]
    assert f"scenes.${{key}}.{stage}" in body(stage)["params"]


@pytest.mark.parametrize("stage", SCENE_STAGES)
def test_stage_lists_every_parameter_that_its_script_reads(stage: str) -> None:
    files = (
        file for file in MODULES.closure(Path("stages", f"{stage}.py")) if file.parts[0] == "stages"
    )
    script = "".join((ROOT / file).read_text() for file in files)
    listed = body(stage)["params"]
    shared = set(re.findall(r"params\.(seed|device|split|val_views|test_views)\b", script))
    names = {f"scenes.${{key}}.{name}" if name in HELD_OUT else name for name in shared}
    assert names == {name for name in listed if "{item" not in name and name in names | SHARED}
    for section in set(re.findall(r"params\.stages\.(\w+)", script)):
        assert any(name.startswith(f"${{item.preset}}.{section}") for name in listed)
        assert f"scenes.${{key}}.{section}" in listed


@pytest.mark.parametrize("stage", SCENE_STAGES)
def test_whoever_reads_one_list_of_held_out_views_reads_both(stage: str) -> None:
    listed = {f"scenes.${{key}}.{name}" for name in HELD_OUT} & set(body(stage)["params"])
    assert len(listed) in (0, len(HELD_OUT))


def test_scores_of_test_views_are_no_metrics() -> None:
    """`dvc exp show` and `dvc metrics diff` show all metrics, so that one would choose by them."""
    evaluate = body("evaluate")
    assert {"data/evaluate/${key}/test.json": {"cache": False}} in evaluate["outs"]
    assert not any("test.json" in str(evaluate[kind]) for kind in ("metrics", "plots"))


def test_every_parameter_is_claimed_by_a_stage() -> None:
    claimed = {name.split(".")[0] for stage in STAGES for name in body(stage).get("params", [])}
    presets = {entry["preset"] for entry in PARAMS["scenes"].values()} | {*PRESETS}
    # Memory changes how long it takes, not what comes out.
    assert set(PARAMS) - presets - claimed == {"memory_budget"}
    for preset in presets:
        assert list(PARAMS[preset]) == SCENE_STAGES


def test_stages_and_scripts_are_the_same() -> None:
    scripts = {path.stem for path in (ROOT / "stages").glob("*.py") if path.stem[0] != "_"}
    assert scripts == set(STAGES)


@pytest.mark.parametrize("file", LIBRARY, ids=str)
def test_imports_run_one_way(file: Path) -> None:
    if len(file.parts) == 2 and file.name == "__init__.py":
        return
    for imported in MODULES.imports(file):
        assert imported.parts[0] == "ovs3d", f"{file} imports {imported}"
        assert layer(imported) <= layer(file), f"{file} imports {imported}"
    assert not re.search(r"^\s*(import|from) dvc\b", (ROOT / file).read_text(), re.MULTILINE)


@pytest.mark.parametrize("file", LIBRARY, ids=str)
def test_no_import_cycle(file: Path) -> None:
    for imported in MODULES.imports(file):
        assert file not in MODULES.closure(imported), f"{file} and {imported} import each other"


@pytest.mark.parametrize("file", SOURCES, ids=str)
def test_files_stay_readable(file: Path) -> None:
    lines = len((ROOT / file).read_text().splitlines())
    assert lines <= (60 if file.parts[0] == "stages" and file.stem[0] != "_" else 400)


def test_every_path_in_the_readme_exists_or_is_an_output() -> None:
    readme = (ROOT / "README.md").read_text()
    named = set(re.findall(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:yaml|toml|md|lock))`", readme))
    named |= set(re.findall(r"\]\(([^)#:]+)\)", readme))
    # What a run leaves behind, not what the repository holds: DVC keeps its locks in .dvc/tmp.
    outputs = (*(f"data/{stage}/" for stage in STAGES), "data/summary.json", ".dvc/tmp/")
    missing = [
        path
        for path in named
        if not (ROOT / path).exists() and not path.startswith(outputs) and "<" not in path
    ]
    assert named
    assert not missing
