"""A browser window: its pictures, its camera, and the controls beside them."""

import math
from collections.abc import Callable

import numpy as np
import viser
from viser.transforms import SO3

from ovs3d.errors import Ovs3dError, one_line
from ovs3d.viewer.camera import Pinhole
from ovs3d.viewer.jobs import Jobs
from ovs3d.viewer.pictures import Picture
from ovs3d.viewer.scene import OpenScene
from ovs3d.viewer.scenes import Scenes
from ovs3d.viewer.screen import Screen
from ovs3d.viewer.session import Session

_FAR = 10.0
"""World units; of a scene without end only so much counts."""
_MOVING_QUALITY, _RESTING_QUALITY = 70, 92
"""Of JPEG."""


class Window:
    """One client of the server.

    Attributes:
        client: viser's side of it.
        jobs: that outlive it.
        scenes: that it may look at.
        session: what it shows.
        screen: what draws that.
    """

    session: Session
    screen: Screen

    def __init__(
        self,
        client: viser.ClientHandle,
        scenes: Scenes,
        jobs: Jobs,
        furnish: Callable[["Window"], None],
    ) -> None:
        """Show the first scene.

        Args:
            client: a browser that has connected.
            scenes: that it may look at.
            jobs: that it may add to.
            furnish: adds the controls, to an empty panel, for the scene that is shown.
        """
        self.client, self.jobs, self.scenes = client, jobs, scenes
        self._furnish = furnish
        self._on_close: list[Callable[[], None]] = []
        self._show(scenes.first)
        client.camera.on_update(lambda _: self._moved())

    def open(self, name: str) -> None:
        """Look at another scene; if it cannot be opened, say why and stay."""
        try:
            scene = self.scenes.get(name)
        except Ovs3dError as error:
            self.report(one_line(error))
            return
        self.close()
        self._show(scene)

    def close(self) -> None:
        """End what goes on for this window; jobs go on."""
        for end in self._on_close:
            end()
        self._on_close.clear()

    def until_closed(self, end: Callable[[], None]) -> None:
        """Have something called when the window closes or changes to another scene."""
        self._on_close.append(end)

    def report(self, line: str) -> None:
        """Show a line that the user should read."""
        self.client.add_notification("ovs3d", line, color="orange", auto_close_seconds=15)

    def look_through(self, camera: Pinhole) -> None:
        """Move the user's camera."""
        cameras = self.session.scene.cameras
        rotation, position = np.split(camera.world_from_camera.astype(np.float64), [3], axis=1)
        # What the mouse turns the camera around.
        ahead = position[:, 0] + rotation[:, 2] * (cameras.near + min(cameras.far, _FAR)) / 2
        with self.client.atomic():
            self.client.camera.fov = camera.fov
            self.client.camera.position = position[:, 0]
            self.client.camera.look_at = ahead
            self.client.camera.up_direction = -rotation[:, 1]
        self.screen.move(camera)

    def camera(self) -> Pinhole:
        """Return the user's camera."""
        state = self.client.camera
        width, height = max(state.image_width, 1), max(state.image_height, 1)
        focal = height / 2 / math.tan(state.fov / 2)
        pose = np.concatenate([SO3(state.wxyz).as_matrix(), state.position[:, None]], axis=1)
        return Pinhole(width, height, focal, pose.astype(np.float32))

    def _show(self, scene: OpenScene) -> None:
        client = self.client
        client.gui.reset()
        client.scene.reset()
        client.scene.remove_click_callback("all")
        self.session = Session(scene)
        self.screen = Screen(self.session, self._send, self.report)
        self.until_closed(self.screen.close)
        self._furnish(self)
        self.screen.start()
        middle = scene.cameras.views[len(scene.cameras) // 2]
        shown = self.camera()
        self.look_through(self.session.jump(middle, shown.width, shown.height))

    def _moved(self) -> None:
        self.screen.move(self.camera())

    def _send(self, picture: Picture, resting: bool) -> None:
        quality = _RESTING_QUALITY if resting else _MOVING_QUALITY
        self.client.scene.set_background_image(picture, format="jpeg", jpeg_quality=quality)
