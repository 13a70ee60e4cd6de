"""What every stage script shares: arguments, parameters, and a user's mistake told in one line."""

import argparse
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from ovs3d import errors
from ovs3d.params import SceneParams, load_scene_params

PARAMS_FILE = Path("params.yaml")


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
    return guarded(
        parser.prog, lambda: main(arguments, load_scene_params(PARAMS_FILE, arguments.scene))
    )


def guarded(program: str, work: Callable[[], None]) -> int:
    """Do a stage's work; exit codes and messages are those of `ovs3d.errors.guarded`."""
    # From here on Ctrl-C can be told in one line (see `stages/__init__.py`).
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return errors.guarded(program, work)
