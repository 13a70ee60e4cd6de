"""Controls for the photos: their cameras in the scene, a jump to one, a comparison with it."""

import math

import viser
from viser.transforms import SO3

from ovs3d.photos.dataset import load_photo
from ovs3d.viewer.window import Window

_THUMBNAIL = 96
"""Pixels of the longer side."""
_FRUSTUM_SIZE = 0.025
"""Of its depth, world units: content begins at 1."""
_STEP_BACK = 0.6
"""World units: cameras are shown from behind."""


def add_photos(window: Window) -> None:
    """Add a camera for each photo, and the controls."""
    gui, session, cameras = window.client.gui, window.session, window.session.scene.cameras
    names = [f"{view}: {name}" for view, name in zip(cameras.views, cameras.names, strict=True)]
    with gui.add_folder("Photos"):
        choice = gui.add_dropdown("Photo", names, initial_value=names[len(names) // 2])
        jump = gui.add_button("Jump to it")
        compare = gui.add_slider(
            "Compare",
            0.0,
            1.0,
            0.01,
            0.0,
            hint="how much of the picture is the photo, from the left; after a jump",
        )
        shown = gui.add_checkbox("Show the cameras", False)

    def go(row: int) -> None:
        choice.value = names[row]
        # The one that the user stands in would cover everything.
        shown.value = False
        here = window.camera()
        window.look_through(session.jump(cameras.views[row], here.width, here.height))

    def wipe(_: object) -> None:
        session.compare = compare.value
        window.screen.redraw()

    frustums = [_add_frustum(window, row) for row in range(len(cameras))]
    for row, frustum in enumerate(frustums):
        frustum.on_click(lambda _, row=row: go(row))

    def show(_: object) -> None:
        for frustum in frustums:
            frustum.visible = shown.value
        if shown.value:
            window.look_through(window.camera().behind(_STEP_BACK))

    jump.on_click(lambda _: go(names.index(choice.value)))
    compare.on_update(wipe)
    shown.on_update(show)


def _add_frustum(window: Window, row: int) -> viser.CameraFrustumHandle:
    """Draw the camera of a photo, with the photo in it, hidden for now."""
    scene = window.session.scene
    cameras = scene.cameras
    _, fy, _, _ = cameras.intrinsics[row].tolist()
    pose = cameras.world_from_camera[row].cpu().numpy()
    thumbnail = None
    if scene.photos is not None:
        downscale = max(1, max(cameras.width, cameras.height) // _THUMBNAIL)
        thumbnail = load_photo(scene.photos.paths[cameras.views[row]], downscale).numpy()
    return window.client.scene.add_camera_frustum(
        f"/photos/{row}",
        2 * math.atan2(cameras.height / 2, fy),
        cameras.width / cameras.height,
        scale=_FRUSTUM_SIZE,
        thickness=1.5,
        thickness_units="screen",
        color=(255, 255, 255),
        image=thumbnail,
        wxyz=SO3.from_matrix(pose[:, :3]).wxyz,
        position=pose[:, 3],
        visible=False,
    )
