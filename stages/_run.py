"""What every stage script shares: arguments, parameters, and a user's mistake told in one line."""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ovs3d.errors import Ovs3dError
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
        Exit code: 0, 1 after an `Ovs3dError` (its message goes to stderr), 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("scene", help="a key of `scenes` in params.yaml")
    for name in paths:
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args(argv)
    # From here on Ctrl-C can be told in one line (see `stages/__init__.py`).
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main(arguments, load_scene_params(PARAMS_FILE, arguments.scene))
    except Ovs3dError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0
