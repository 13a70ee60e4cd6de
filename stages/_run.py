"""What every stage script shares: arguments, parameters, and a user's mistake told in one line."""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ovs3d.errors import Ovs3dError
from ovs3d.files import no_space_left
from ovs3d.params import SceneParams, load_scene_params

PARAMS_FILE = Path("params.yaml")
INTERRUPTED = 130
"""Exit code of a process that Ctrl-C ended, as shells have it."""


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
    """Do a stage's work; tell in one line what a user can do something about.

    Returns:
        Exit code: 0, 1 after an `Ovs3dError` or on a full disk, 130 after Ctrl-C.
    """
    # From here on Ctrl-C can be told in one line (see `stages/__init__.py`).
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        work()
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Ovs3dError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 1
    except Exception as error:
        if not no_space_left(error):
            raise
        reason = " ".join(str(error).split())
        print(
            f"{program}: the disk or the quota is full ({reason}); free some space and repeat "
            "`dvc repro`",
            file=sys.stderr,
        )
        return 1
    return 0
