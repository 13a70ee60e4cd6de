import os
import subprocess
import sys
from pathlib import Path

import pytest

from ovs3d.files import atomic_path


def dead_process() -> int:
    """Return the number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def test_writing_removes_what_a_killed_writer_left_and_nothing_else(tmp_path: Path) -> None:
    dead, alive = dead_process(), os.getppid()
    (tmp_path / f".a.json.{dead}.tmp").write_text("half")
    (tmp_path / f".a.{dead}.tmp").mkdir()
    kept = {f".a.json.{alive}.tmp", f".b.json.{dead}.tmp", ".a.json.old.tmp"}
    for name in kept:
        (tmp_path / name).write_text("somebody else's")
    with atomic_path(tmp_path / "a.json") as temporary:
        temporary.write_text("whole")
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {"a.json", f".a.{dead}.tmp", *kept}


def test_failed_write_leaves_what_stood_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("before")
    try:
        with atomic_path(tmp_path / "a") as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "before"


def test_a_file_takes_no_folder_s_place(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/a.png").write_text("precious")
    with (
        pytest.raises(IsADirectoryError, match="pictures"),
        atomic_path(tmp_path / "pictures") as temporary,
    ):
        temporary.write_text("a picture")
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]
    assert (tmp_path / "pictures/a.png").read_text() == "precious"


def test_a_folder_that_takes_a_link_s_place_leaves_what_it_led_to(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a").write_text("precious")
    (tmp_path / "scene").symlink_to(tmp_path / "elsewhere")
    with atomic_path(tmp_path / "scene") as temporary:
        temporary.mkdir()
    assert (tmp_path / "elsewhere/a").read_text() == "precious"
    assert not (tmp_path / "scene").is_symlink()
