"""The web server of the viewer: one window for each browser that connects."""

import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import viser

from ovs3d.errors import Ovs3dError
from ovs3d.viewer.controls import add_clicks, add_layers, add_legend, add_status
from ovs3d.viewer.jobs import Jobs
from ovs3d.viewer.output_controls import add_exports, add_path
from ovs3d.viewer.photo_controls import add_photos
from ovs3d.viewer.scenes import Scenes
from ovs3d.viewer.window import Window

_PANEL_WIDTH = 320
"""Pixels."""


@contextmanager
def serving(scenes: Scenes, host: str, port: int) -> Iterator[int]:
    """Serve the viewer while the block runs; at its end the present job is stopped.

    Args:
        scenes: to look at.
        host: address to listen on; 127.0.0.1 is reached from this machine alone.
        port: 0 takes any that is free.

    Yields:
        The port.

    Raises:
        Ovs3dError: the address cannot be used.
    """
    _check_free(host, port)
    server = viser.ViserServer(host, port, label="ovs3d", verbose=False)
    # Not for each window: a browser that learns of this and of a camera at once may place the
    # camera in the world as it was before.
    server.scene.set_up_direction("-y")
    server.gui.configure_theme(show_logo=False, show_share_button=False)
    # Beside the picture, not over it.
    server.gui.main_panel.dock_right()
    server.gui.main_panel.set_width(_PANEL_WIDTH)
    # A browser may close at any time, in the middle of a picture too.
    warnings.filterwarnings("ignore", "Queued a .* on a closed connection", UserWarning)
    jobs = Jobs()
    windows: dict[int, Window] = {}

    def connected(client: viser.ClientHandle) -> None:
        window = windows[client.client_id] = Window(client, scenes, jobs, furnish)
        # It may have gone before all controls were there.
        if client.client_id not in server.get_clients():
            window.close()

    def gone(client: viser.ClientHandle) -> None:
        window = windows.pop(client.client_id, None)
        if window:
            window.close()

    server.on_client_connect(connected)
    server.on_client_disconnect(gone)

    try:
        yield server.get_port()
    finally:
        jobs.stop()
        server.stop()


def furnish(window: Window) -> None:
    """Add the controls to a window, from top to bottom."""
    add_status(window)
    add_layers(window)
    add_clicks(window)
    add_legend(window)
    add_photos(window)
    add_path(window)
    add_exports(window)


def _check_free(host: str, port: int) -> None:
    """Fail if a port is in use: viser would take the next one without a word."""
    try:
        # What is too large for a port, getaddrinfo cuts down to one.
        if port not in range(1 << 16):
            raise OverflowError("ports are numbers from 0 to 65535")
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # As the server does it: what is left of connections of an earlier one does not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, OverflowError) as error:
        raise Ovs3dError(
            f"{host}:{port}: cannot listen there ({error}); end what does, or take another --port"
        ) from None
