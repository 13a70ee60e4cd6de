"""What every stage script shares: arguments, parameters, and a user's mistake told in one line."""

import argparse
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from ovs3d import errors
from ovs3d.identity import ROOT, code_of, listing
from ovs3d.params import SceneParams, load_scene_params

PARAMS_FILE = Path("params.yaml")
_LISTINGS = Path("data/code")
"""What stage `code` writes."""


def run(
    main: Callable[[argparse.Namespace, SceneParams], None],
    description: str | None,
    paths: Sequence[str],
    argv: Sequence[str] | None = None,
) -> int:
    """Parse the arguments of a stage, load the parameters of its scene and call its `main`.

    Args:
        main: gets the arguments (`scene` and each of `paths`, the latter as `Path`) and the
            parameters of the scene.
        description: what `--help` says; a stage passes its module docstring.
        paths: names of the positional arguments after the scene.
        argv: arguments without the program's name; the process's own when None.

    Returns:
        Exit code, see `guarded`.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("scene", help="a key of `scenes` in params.yaml")
    for name in paths:
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args(argv)

    def work() -> None:
        _check_code()
        main(arguments, load_scene_params(PARAMS_FILE, arguments.scene))

    return guarded(parser.prog, work)


def _check_code() -> None:
    """Refuse to run other code than DVC will record, which compares listings and not the code.

    Raises:
        Ovs3dError: the listing is older than the code.
    """
    # DVC's name of the stage that it runs, `distill@demo`.
    stage, _, scene = os.environ.get("DVC_STAGE", "").partition("@")
    file = _LISTINGS / scene / f"{stage}.txt"
    if file.is_file() and file.read_text() != listing(code_of(str(ROOT / f"stages/{stage}.py"))):
        raise errors.Ovs3dError(
            f"the code of this stage is not what {file} says: it was edited while `dvc repro` ran, "
            f"or stage code was left out; repeat `dvc repro {stage}@{scene}`"
        )


def guarded(program: str, work: Callable[[], None]) -> int:
    """Do a stage's work; exit codes and messages are those of `ovs3d.errors.guarded`."""
    # From here on Ctrl-C can be told in one line (see `stages/__init__.py`).
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return errors.guarded(program, work)
