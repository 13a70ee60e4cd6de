"""Where the server listens, and what it says when it cannot."""

import argparse
import socket
import subprocess
import sys
import urllib.request

import pytest

from ovs3d.apps import view
from ovs3d.errors import Ovs3dError
from ovs3d.viewer.scene import OpenScene
from ovs3d.viewer.scenes import Scenes
from ovs3d.viewer.server import serving
from tests.viewer.builders import NAME

HERE = "127.0.0.1"


def test_it_listens_on_this_machine_alone_unless_told_otherwise() -> None:
    parser = argparse.ArgumentParser()
    view.add_arguments(parser)
    arguments = parser.parse_args([NAME])
    assert (arguments.host, arguments.port) == (HERE, 8080)


def test_a_page_is_served_until_the_block_ends(opened: OpenScene) -> None:
    with serving(Scenes([opened.name]), HERE, 0) as port:
        with urllib.request.urlopen(f"http://{HERE}:{port}") as page:
            assert b"<html" in page.read(200)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HERE, port))


def test_a_port_in_use_is_told(opened: OpenScene) -> None:
    with socket.socket() as other:
        other.bind((HERE, 0))
        other.listen()
        port = other.getsockname()[1]
        line = rf"127\.0\.0\.1:{port}: cannot listen there .*take another --port"
        with pytest.raises(Ovs3dError, match=line), serving(Scenes([opened.name]), HERE, port):
            pytest.fail("it serves")


@pytest.mark.parametrize(("host", "port"), [("no.such.host.invalid", 0), (HERE, 70_000)])
def test_an_address_that_is_none_is_told(host: str, port: int, opened: OpenScene) -> None:
    with (
        pytest.raises(Ovs3dError, match="cannot listen there"),
        serving(Scenes([opened.name]), host, port),
    ):
        pytest.fail("it serves")


@pytest.mark.usefixtures("opened")
def test_scenes_are_opened_once_each() -> None:
    scenes = Scenes([NAME, NAME])
    assert scenes.names == [NAME]
    assert scenes.get(NAME) is scenes.first


def test_without_the_extra_the_command_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['viser'] = None; from ovs3d.apps.cli import main; "
        "sys.exit(main(['view', 'demo']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install -e '.[viewer]'" in done.stderr
