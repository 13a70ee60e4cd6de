"""The command line: start-up, exit codes, one line for a mistake."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ovs3d.apps import cli
from ovs3d.errors import SceneError, guarded
from tests.closure import MODULES, ROOT


def ended(error: BaseException) -> int:
    """Return the exit code of a program whose work ends with an error."""

    def work() -> None:
        raise error

    return guarded("ovs3d fake", work)


def test_help_lists_the_commands_without_importing_them() -> None:
    script = "import sys; from ovs3d.apps.cli import main\ntry: main(['--help'])\nfinally: "
    script += "assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_a_module_and_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert MODULES.module_file(cli.COMMANDS[name][0]) is not None
    with pytest.raises(SystemExit) as exit_:
        cli.main([name, "--help"])
    assert exit_.value.code == 0
    assert f"ovs3d {name}" in capsys.readouterr().out


def test_descriptions_keep_their_capitals(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["labels", "--help"])
    assert "Try the labels of a scene on its CLIP features." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (SceneError("a/b: no photos in it"), 2, "a/b: no photos in it"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
    ids=["mistake of the user", "interrupt"],
)
def test_what_is_no_defect_is_one_line_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, message: str
) -> None:
    assert ended(error) == code
    assert capsys.readouterr().err == f"ovs3d fake: {message}\n"


def test_defect_of_the_program_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        ended(ZeroDivisionError())


def test_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main(["new-sceen"])
    assert exit_.value.code == 2
    assert "new-scene" in capsys.readouterr().err


def test_sigterm_ends_a_command_in_one_line(tmp_path: Path) -> None:
    """Although COLMAP, which the command imports, takes the signal for itself."""
    (tmp_path / "slow.py").write_text(
        "import os, signal, threading\n"
        "import pycolmap\n"
        "def add_arguments(parser):\n"
        "    pass\n"
        "def run(arguments):\n"
        "    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()\n"
        "    threading.Event().wait(60)\n"
    )
    script = (
        "import sys\n"
        "from ovs3d.apps import cli\n"
        "cli.COMMANDS['slow'] = ('slow', 'wait')\n"
        "sys.exit(cli.main(['slow']))\n"
    )
    paths = os.pathsep.join([str(ROOT), str(tmp_path)])
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == "ovs3d slow: interrupted (SIGTERM)\n"
    assert done.returncode == 128 + signal.SIGTERM
