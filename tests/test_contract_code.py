"""The contract between the code of stages and what DVC compares, and what an edit makes anew."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ovs3d.identity import NOT_COMPUTING, Sources
from tests.closure import MODULES, ROOT

STAGES: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
SCENE_STAGES = [name for name in STAGES if name not in ("code", "summarize")]
Edit = Callable[[str], str]


@pytest.mark.parametrize("stage", SCENE_STAGES)
def test_the_code_of_a_stage_is_one_dep(stage: str) -> None:
    code = [
        dep
        for dep in STAGES[stage]["do"]["deps"]
        if dep.startswith(("data/code", "ovs3d", "stages"))
    ]
    assert code == [f"data/code/${{key}}/{stage}.txt"]


def test_stage_code_runs_always_and_before_the_others() -> None:
    """Otherwise DVC would compare what an earlier run had found."""
    assert STAGES["code"]["do"]["always_changed"]
    assert STAGES["code"]["do"]["outs"] == ["data/code/${key}"]
    assert STAGES["code"]["do"]["cmd"] == "python -m stages.code ${key} data/code/${key}"


def test_summarize_lists_its_code() -> None:
    listed = [dep for dep in STAGES["summarize"]["deps"] if not dep.startswith("data/")]
    assert listed == list(MODULES.code(Path("stages/summarize.py")))


@pytest.mark.parametrize("file", NOT_COMPUTING)
def test_what_is_said_to_compute_nothing_has_nothing_to_compute_with(file: str) -> None:
    assert NOT_COMPUTING[file]
    text = (ROOT / file).read_text()
    assert not re.search(r"^\s*(import|from) (torch|numpy|PIL|scipy|zarr)\b", text, re.MULTILINE)


def replace(old: str, new: str) -> Edit:
    """Return an edit that puts `new` in place of `old`."""
    return lambda text: text.replace(old, new)


def with_code(text: str) -> str:
    """Add a statement to a module."""
    return text + "\nEDITED = 1\n"


# Edit a file of the project, and these are made anew. `clip.zarr` and `dino.zarr` are the stores: a
# stage that runs with one that is still good has nothing to extract.
SEES = {"poses", "reconstruct", "lift", "distill", "evaluate", "render", "report"}
RENDERS = SEES - {"poses"}
EXTRACTS = {"clip_features", "clip.zarr", "dino_features", "dino.zarr"}
ROOTS = {
    **{path.stem: path for path in sorted((ROOT / "stages").glob("[!_]*.py"))},
    "clip.zarr": ROOT / "ovs3d/features/extract_clip.py",
    "dino.zarr": ROOT / "ovs3d/features/extract_dino.py",
}
EDITS: list[tuple[str, str, Edit, set[str]]] = [
    ("a loss", "ovs3d/distill/losses.py", with_code, {"distill"}),
    ("codes of the surface", "ovs3d/language/codes.py", with_code, {"lift"}),
    ("a loss of the field", "ovs3d/reconstruct/losses.py", with_code, {"reconstruct"}),
    (
        "windows",
        "ovs3d/features/windows.py",
        with_code,
        {"clip_features", "clip.zarr", "lift", "distill"},
    ),
    ("files of arrays", "ovs3d/features/zarr_arrays.py", with_code, EXTRACTS | {"lift", "distill"}),
    ("threads of extraction", "ovs3d/features/pipeline.py", with_code, EXTRACTS),
    ("a worker of a cluster", "ovs3d/features/worker.py", with_code, set()),
    ("gathering", "ovs3d/features/window_features.py", with_code, {"lift", "distill"}),
    ("a store's file", "ovs3d/features/view_store.py", with_code, EXTRACTS | {"lift", "distill"}),
    (
        "the CLIP model",
        "ovs3d/features/clip.py",
        with_code,
        {"clip_features", "clip.zarr", "lift", "distill"},
    ),
    (
        "loading of the CLIP model",
        "ovs3d/features/clip_models.py",
        with_code,
        {"clip_features", "clip.zarr", "lift", "distill"},
    ),
    ("the DINO model", "ovs3d/features/dino.py", with_code, {"dino_features", "dino.zarr"}),
    ("decoding of photos", "ovs3d/photos/dataset.py", with_code, SEES | EXTRACTS),
    ("a camera model", "ovs3d/space/distortion.py", replace("k1", "k_1"), SEES),
    ("the renderer", "ovs3d/field/render.py", with_code, RENDERS),
    ("a score", "ovs3d/evaluation/metrics.py", with_code, {"evaluate", "report"}),
    ("the table of scenes", "ovs3d/evaluation/summary.py", with_code, {"summarize"}),
    (
        "a parameter of DINO",
        "ovs3d/features/dino_params.py",
        with_code,
        {"dino_features", "dino.zarr"},
    ),
    ("a parameter of poses", "ovs3d/poses/params.py", with_code, {"poses"}),
    (
        "a parameter's docstring",
        "ovs3d/distill/params.py",
        replace("Of every ray the fewest samples", "Of each ray the fewest samples"),
        set(),
    ),
    (
        "a colour",
        "ovs3d/evaluation/drawing.py",
        replace("(20, 20, 20)", "(0, 0, 9)"),
        {"evaluate", "render", "report"},
    ),
    ("a figure", "ovs3d/evaluation/figures.py", with_code, {"evaluate", "render", "report"}),
    ("DINO's picture", "ovs3d/features/pictures.py", with_code, {"dino_features"}),
    ("the progress bar", "ovs3d/progress.py", with_code, set()),
    (
        "what a bar says",
        "ovs3d/reconstruct/train.py",
        replace('progress("', 'progress("my '),
        set(),
    ),
    ("the closing table", "stages/distill.py", replace('f"distillation of', 'f"end of'), set()),
    ("an error", "ovs3d/photos/dataset.py", replace('SceneError(f"', 'SceneError(f"oh: '), set()),
    ("kinds of errors", "ovs3d/errors.py", with_code, set()),
    ("the command line", "ovs3d/apps/cli.py", with_code, set()),
    ("a command", "ovs3d/apps/plan.py", with_code, set()),
    ("the stages' command line", "stages/_run.py", with_code, set()),
    ("a comment", "ovs3d/field/vm.py", replace("\n\n\n", "\n\n\n# It is so.\n"), set()),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("copy")
    for package in ("ovs3d", "stages"):
        shutil.copytree(
            ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    return root


@pytest.mark.parametrize(
    ("file", "edit", "anew"), [row[1:] for row in EDITS], ids=[row[0] for row in EDITS]
)
def test_an_edit_makes_anew(copy: Path, file: str, edit: Edit, anew: set[str]) -> None:
    def identities() -> dict[str, dict[str, str]]:
        sources = Sources(copy)
        return {name: sources.code(path.relative_to(ROOT)) for name, path in ROOTS.items()}

    before, text = identities(), (copy / file).read_text()
    (copy / file).write_text(edit(text))
    assert edit(text) != text
    after = identities()
    (copy / file).write_text(text)
    assert {name for name in ROOTS if after[name] != before[name]} - {"code"} == anew
