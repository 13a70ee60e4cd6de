"""What a change of code makes anew: what of a module counts, and which modules count for what."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ovs3d.errors import Ovs3dError
from ovs3d.identity import NOT_COMPUTING, Sources, code_of, listing
from stages import code
from tests.closure import ROOT

MODULE = Path("ovs3d/room/work.py")
TEXT = '''
"""What it is for."""

from ovs3d.errors import SceneError
from ovs3d.progress import progress, summary_table

FACTOR = 2
"""Of everything."""


def work(values, done):
    """Return the sum."""
    total = 0
    with progress("adding", len(values), "values") as advance:
        for value in values:
            # Each one counts.
            total += FACTOR * value
            advance(done(value), note=f"at {value}")
    if total < 0:
        raise SceneError(f"{total} is not enough")
    assert total, "nothing"
    print("adding ended")
    summary_table("sum", {"total": total})
    return total
'''
Edit = Callable[[str], str]


def replace(old: str, new: str) -> Edit:
    """Return an edit that puts `new` in place of `old`."""

    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return edit


def write(root: Path, files: dict[str, str]) -> Sources:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Sources(root)


@pytest.mark.parametrize(
    ("edit", "counts"),
    [
        pytest.param(replace("What it is for", "Why it is"), False, id="docstring of a module"),
        pytest.param(replace("Return the sum", "Add up"), False, id="docstring of a function"),
        pytest.param(replace("Of everything", "Of each"), False, id="docstring of a constant"),
        pytest.param(replace("# Each one counts.", "# All count."), False, id="comment"),
        pytest.param(replace("FACTOR * value", "(FACTOR\n * value)"), False, id="formatting"),
        pytest.param(replace("is not enough", "is too little"), False, id="error"),
        pytest.param(replace('"nothing"', '"no values"'), False, id="assertion"),
        pytest.param(replace("adding ended", "ended"), False, id="print"),
        pytest.param(replace('"adding", len', '"sum", len'), False, id="progress bar"),
        pytest.param(replace('note=f"at {value}"', 'note="here"'), False, id="note of a bar"),
        pytest.param(replace('{"total": total}', '{"all": -total}'), False, id="table"),
        pytest.param(replace('    summary_table("sum", {"total": total})\n', ""), False, id="none"),
        pytest.param(replace("FACTOR = 2", "FACTOR = 3"), True, id="constant"),
        pytest.param(replace("+= FACTOR", "-= FACTOR"), True, id="operator"),
        pytest.param(replace("total < 0", "total < 1"), True, id="condition of an error"),
        pytest.param(replace("raise SceneError", "raise ValueError"), True, id="kind of error"),
        pytest.param(replace("done(value)", "values.pop(value)"), True, id="call in an argument"),
        pytest.param(replace("len(values)", "len(values.clear())"), True, id="call for a bar"),
        pytest.param(replace('"""Return', 'values = """Return'), True, id="string that is used"),
    ],
)
def test_what_of_a_module_counts(tmp_path: Path, edit: Edit, counts: bool) -> None:
    before = write(tmp_path, {MODULE.as_posix(): TEXT}).code(MODULE)
    assert list(before) == [MODULE.as_posix()]
    after = write(tmp_path, {MODULE.as_posix(): edit(TEXT)}).code(MODULE)
    assert edit(TEXT) != TEXT
    assert (after != before) == counts


def test_a_bar_around_a_loop_changes_nothing(tmp_path: Path) -> None:
    loop = "for value in values:\n    add(value)\n"
    barred = "from ovs3d.progress import progress\n"
    barred += 'with progress("adding", 3, "values") as advance:\n'
    barred += "    for value in values:\n        add(value)\n        advance()\n"
    plain = write(tmp_path, {MODULE.as_posix(): loop}).code(MODULE)
    added = write(tmp_path, {MODULE.as_posix(): barred}).code(MODULE)
    assert added == plain


def test_modules_count_as_far_as_imports_reach(tmp_path: Path) -> None:
    sources = write(
        tmp_path,
        {
            "stages/a.py": "import json\nfrom ovs3d.room import work\n",
            "ovs3d/__init__.py": "",
            "ovs3d/room/__init__.py": "SETTING = 1\n",
            "ovs3d/room/work.py": "def f():\n    import ovs3d.far.away\n",
            "ovs3d/far/away.py": "from ovs3d.progress import progress\n",
            "ovs3d/progress.py": "from ovs3d.bars import bar\n",
            "ovs3d/bars.py": "",
            "ovs3d/room/other.py": "",
        },
    )
    found = ["ovs3d/far/away.py", "ovs3d/room/__init__.py", "ovs3d/room/work.py", "stages/a.py"]
    assert list(sources.code(Path("stages/a.py"))) == found


def test_a_data_file_counts_where_a_module_names_it(tmp_path: Path) -> None:
    files = {"ovs3d/draw.py": 'font = open("Sans.ttf")\n', "ovs3d/Sans.ttf": "A", "ovs3d/b.ttf": ""}
    before = write(tmp_path, files).code(Path("ovs3d/draw.py"))
    assert list(before) == ["ovs3d/Sans.ttf", "ovs3d/draw.py"]
    after = write(tmp_path, {**files, "ovs3d/Sans.ttf": "B"}).code(Path("ovs3d/draw.py"))
    assert {file for file in before if before[file] != after[file]} == {"ovs3d/Sans.ttf"}


def test_later_edits_do_not_count_for_what_was_read(tmp_path: Path) -> None:
    sources = write(tmp_path, {MODULE.as_posix(): TEXT})
    before = sources.code(MODULE)
    (tmp_path / MODULE).write_text("other = 1\n")
    assert sources.code(MODULE) == before
    assert Sources(tmp_path).code(MODULE) != before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(:\n", r"ovs3d/room/work\.py:1: invalid syntax"),
        ("\nfrom . import other\n", r"ovs3d/room/work\.py:2: relative import; name the package"),
    ],
    ids=["no Python", "relative import"],
)
def test_what_cannot_be_read_is_told_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(Ovs3dError, match=message):
        write(tmp_path, {MODULE.as_posix(): text}).code(MODULE)


def test_stage_code_writes_a_listing_for_every_stage(tmp_path: Path) -> None:
    assert code.main(["demo", str(tmp_path / "code")]) == 0
    scripts = sorted(path.stem for path in (ROOT / "stages").glob("[!_]*.py"))
    assert sorted(path.stem for path in (tmp_path / "code").iterdir()) == scripts
    written = (tmp_path / "code/distill.txt").read_text()
    assert written == listing(code_of(str(ROOT / "stages/distill.py")))
    assert "ovs3d/distill/losses.py\n" in written
    assert not [file for file in NOT_COMPUTING if file in written]


def test_stage_code_needs_no_heavy_package() -> None:
    """It runs once for every scene in every `dvc repro`."""
    heavy = {"torch", "numpy", "PIL", "zarr"}
    script = f"import sys, stages.code; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0
