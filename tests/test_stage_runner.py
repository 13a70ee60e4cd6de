"""What all stage scripts share: arguments, exit codes, one line for a user's mistake."""

import argparse
import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ovs3d.errors import SceneError
from ovs3d.files import no_space_left
from ovs3d.params import SceneParams
from stages import code
from stages._run import run

REPO = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _in_the_repo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPO)


def test_main_gets_paths_and_the_params_of_its_scene() -> None:
    calls = []

    def main(arguments: argparse.Namespace, params: SceneParams) -> None:
        calls.append((arguments.scene, arguments.images, arguments.out, params.stages.poses))

    assert run(main, "what it does", ("images", "out"), argv=("demo", "a/b", "c")) == 0
    [(scene, images, out, poses)] = calls
    assert (scene, images, out) == ("demo", Path("a/b"), Path("c"))
    assert poses.max_features > 0


def test_mistake_of_the_user_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def main(_arguments: argparse.Namespace, _params: SceneParams) -> None:
        raise SceneError("a/b: no photos in it")

    assert run(main, None, (), argv=("demo",)) == 2
    captured = capsys.readouterr()
    assert captured.err.endswith(": a/b: no photos in it\n")
    assert captured.err.count("\n") == 1


def test_unknown_scene_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(lambda *_: None, None, (), argv=("no-such-scene",)) == 2
    assert "no scene 'no-such-scene'" in capsys.readouterr().err


def test_interrupt_has_the_exit_code_of_shells(capsys: pytest.CaptureFixture[str]) -> None:
    def main(_arguments: argparse.Namespace, _params: SceneParams) -> None:
        raise KeyboardInterrupt

    assert run(main, None, (), argv=("demo",)) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_interrupt_during_the_imports_leaves_no_traceback(tmp_path: Path) -> None:
    # A torch whose import is interrupted, found before the real one.
    interrupt = "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(60)"
    (tmp_path / "torch.py").write_text(interrupt)
    ended = subprocess.run(
        [sys.executable, "-m", "stages.poses", "demo", "images", "out"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert ended.returncode == -signal.SIGINT
    assert ended.stderr == ""


def test_other_code_than_dvc_compared_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(REPO / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_STAGE", "poses@demo")
    calls: list[str] = []

    def poses() -> int:
        return run(lambda *_: calls.append("poses"), None, (), argv=("demo",))

    assert code.main(["demo", "data/code/demo"]) == 0
    assert poses() == 0
    written = tmp_path / "data/code/demo/poses.txt"
    written.write_text(written.read_text().replace("ovs3d/space/cameras.py", "ovs3d/space/old.py"))
    assert poses() == 2
    assert calls == ["poses"]
    message = capsys.readouterr().err
    assert "is not what data/code/demo/poses.txt says" in message
    assert message.endswith("repeat `dvc repro poses@demo`\n")
    # By hand, without DVC, there is nothing to record.
    monkeypatch.delenv("DVC_STAGE")
    assert poses() == 0


def test_defect_of_the_program_keeps_its_traceback() -> None:
    def main(_arguments: argparse.Namespace, _params: SceneParams) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(main, None, (), argv=("demo",))


def test_full_disk_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    def main(_arguments: argparse.Namespace, _params: SceneParams) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a/b")

    assert run(main, None, (), argv=("demo",)) == 1
    message = capsys.readouterr().err
    assert "the disk or the quota is full ([Errno 28] No space left on device: 'a/b')" in message
    assert message.count("\n") == 1


def test_full_disk_behind_another_error_is_found() -> None:
    hidden = RuntimeError("unexpected pos 576 vs 534")
    hidden.__context__ = OSError(errno.EDQUOT, "quota")
    assert no_space_left(hidden)
    assert not no_space_left(OSError(errno.EACCES, "not allowed"))
