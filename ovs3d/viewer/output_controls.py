"""Controls for what is taken away: the camera path and its video, exports, and their progress."""

from functools import partial

import numpy as np

from ovs3d.viewer.jobs import Job, Work
from ovs3d.viewer.outputs import export, save_picture, save_video
from ovs3d.viewer.path import smooth_path
from ovs3d.viewer.screen import MOVING_PIXELS, RESTING_PIXELS
from ovs3d.viewer.window import Window

_MOST_SENT = 64 << 20
"""Bytes; larger files are not pushed into the browser, which is told where they lie."""
_EXPORTS = {
    "Labelled points (PLY)": "point_cloud_labels.ply",
    "Objects (GLB)": "objects.glb",
    "List of objects (CSV)": "objects.csv",
    "Masks (COCO)": "instances.json",
}
"""Buttons, and the files that they send. The first that is pressed writes all of them."""
_STEPS_DRAWN = 24
"""Pieces of the line from one view of a path to the next."""
_PATH_COLOR = (255, 140, 0)


def add_path(window: Window) -> None:
    """Add the controls that collect views, draw the path through them, and film along it."""
    gui, session = window.client.gui, window.session
    keys = session.keys
    with gui.add_folder("Camera path", expand_by_default=False):
        count = gui.add_markdown("")
        edit = gui.add_button_group("Views", ("add this", "drop last", "drop all"))
        seconds = gui.add_slider("Seconds", 1, 30, 1, 4)
        quality = gui.add_dropdown("Quality", ("fast", "best"), initial_value="fast")
        film = gui.add_button("Render video")

    def tell() -> None:
        count.content = f"{len(keys)} views; the path goes through them in this order."
        film.disabled = len(keys) < 2
        _draw_path(window)

    def change(_: object) -> None:
        if edit.value == "add this":
            keys.append(window.camera())
        else:
            del keys[-1 if edit.value == "drop last" else 0 :]
        tell()

    def start(_: object) -> None:
        size = keys[0].shrunk(MOVING_PIXELS)
        fps = session.scene.render.fps
        path = smooth_path(keys, int(seconds.value) * fps, size.width, size.height)
        best = quality.value == "best"
        _start(window, "video", partial(save_video, session.scene, session.how, path, fps, best))

    edit.on_click(change)
    film.on_click(start)
    tell()


def add_exports(window: Window) -> None:
    """Add the buttons that write files, and how far that is."""
    gui, session = window.client.gui, window.session
    files = _EXPORTS if session.scene.labels else {}
    with gui.add_folder("Take away"):
        picture = gui.add_button("This picture (PNG)")
        buttons = [gui.add_button(name) for name in files]
        bar = gui.add_progress_bar(0.0, visible=False)
        told = gui.add_markdown("")

    def keep_picture(_: object) -> None:
        camera = window.camera().shrunk(RESTING_PIXELS)
        _start(window, "picture", partial(save_picture, session.scene, session.how, camera))

    def keep(file: str) -> None:
        _start(window, file, lambda _: export(session.scene, file))

    def tell(job: Job) -> None:
        bar.visible = not job.finished.is_set()
        bar.value, bar.animated = 100 * (job.share or 1), not job.share
        told.content = job.line()

    picture.on_click(keep_picture)
    for button, file in zip(buttons, files.values(), strict=True):
        button.on_click(lambda _, file=file: keep(file))
    for job in window.jobs.all[-1:]:
        tell(job)
    window.until_closed(window.jobs.on_change(tell))


def _start(window: Window, name: str, work: Work) -> None:
    """Queue a job, and send the browser what it writes."""

    def done(job: Job) -> None:
        file = job.file
        if file and file.stat().st_size <= _MOST_SENT:
            window.client.send_file_download(file.name, file.read_bytes(), save_immediately=True)

    window.jobs.submit(f"{name} of {window.session.scene.name}", work, done)


def _draw_path(window: Window) -> None:
    keys = window.session.keys
    name = "/path"
    if len(keys) < 2:
        window.client.scene.remove_by_name(name)
        return
    cameras = smooth_path(keys, (len(keys) - 1) * _STEPS_DRAWN + 1, 1, 1)
    points = np.stack([camera.world_from_camera[:, 3] for camera in cameras])
    segments = np.stack([points[:-1], points[1:]], axis=1)
    window.client.scene.add_line_segments(
        name, segments, _PATH_COLOR, thickness=3, thickness_units="screen"
    )
