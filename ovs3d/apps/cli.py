"""The command line: `ovs3d COMMAND ...`, one module per command, imported only when asked for.

A command's module has two functions: `add_arguments(parser)` and `run(arguments)`, which returns
the exit code.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

from ovs3d.errors import guarded, heed_sigterm

# Name -> module and line of help.
COMMANDS = {
    "new-scene": ("ovs3d.apps.new_scene", "make a scene of photos, a video or a data set"),
    "check": ("ovs3d.apps.check", "look for mistakes in a scene before anything expensive runs"),
    "plan": ("ovs3d.apps.plan", "tell what a scene will cost in time, memory and disk"),
    "labels": ("ovs3d.apps.labels", "try the labels of a scene on its CLIP features"),
    "query": ("ovs3d.apps.query", "look for any words in a scene that is lifted"),
    "export": ("ovs3d.apps.export", "write points, meshes, masks, objects and poses to take away"),
    "render": ("ovs3d.apps.render", "render a segmented scene from any cameras"),
    "report": ("ovs3d.apps.report", "write one page about a scene, for the browser"),
    "view": ("ovs3d.apps.view", "look at scenes in a browser"),
    "export-features": (
        "ovs3d.apps.export_features",
        "write the CLIP features of a scene as one vector per pixel",
    ),
    "verify": ("ovs3d.apps.verify", "read everything that was built of a scene for damage"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: arguments without the program's name; the process's own when None.

    Returns:
        Exit code, that of the command or see `ovs3d.errors.guarded`; argparse itself exits with 2
        if the arguments are wrong.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    return guarded(" ".join(["ovs3d", *words[:1]]), lambda: _run(words))


def _run(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="ovs3d", description="3D segmentation by words.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, line) in COMMANDS.items():
        command = commands.add_parser(name, help=line, description=f"{line[0].upper()}{line[1:]}.")
        # Importing all commands would take seconds, most of them for torch.
        if words[:1] == [name]:
            implementation = importlib.import_module(module)
            heed_sigterm()
            implementation.add_arguments(command)
            command.set_defaults(run=implementation.run)
    arguments = parser.parse_args(words)
    code: int = arguments.run(arguments)
    return code


if __name__ == "__main__":
    sys.exit(main())
