"""`ovs3d view`: look at scenes in a browser."""

import argparse
import threading
from contextlib import closing

from ovs3d.errors import Ovs3dError
from ovs3d.progress import plain_console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `ovs3d view`."""
    parser.add_argument("names", nargs="+", metavar="name", help="keys of `scenes` in params.yaml")
    parser.add_argument("--port", type=int, default=8080, help="8080 if not given; 0: any free one")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; if not given, only this machine can connect. Nothing is "
        "encrypted, and whoever connects can look, and write exports to data/view",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C; return 0.

    Raises:
        Ovs3dError: the extra is not installed, the address cannot be used.
        StoreError: the first scene cannot be shown.
    """
    try:
        from ovs3d.viewer.scenes import Scenes
        from ovs3d.viewer.server import serving
    except ModuleNotFoundError as error:
        raise Ovs3dError(f"{error}; the viewer needs `pip install -e '.[viewer]'`") from None
    console = plain_console()
    with (
        closing(Scenes(arguments.names)) as scenes,
        serving(scenes, arguments.host, arguments.port) as port,
    ):
        host = arguments.host if arguments.host not in ("0.0.0.0", "::") else "localhost"
        console.print(f"http://{host}:{port}  (Ctrl-C ends it)", soft_wrap=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            console.print("viewer ended")
    return 0
