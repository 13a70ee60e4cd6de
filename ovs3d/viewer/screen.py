"""The pictures of one window: coarse ones while the camera moves, ever better ones at rest."""

import time
from collections.abc import Callable
from threading import Event, Thread

from ovs3d.errors import one_line
from ovs3d.viewer.camera import Pinhole
from ovs3d.viewer.pictures import Picture, Refinement
from ovs3d.viewer.session import Session

MOVING_PIXELS = 960 * 540
RESTING_PIXELS = 1280 * 720

_FRAME_SECONDS = 0.04
"""What a picture may take while the camera moves; if it takes longer the next one is smaller."""
_LEAST_PIXELS = 240 * 135
_REST_SECONDS = 0.25
"""Without a change for so long, the camera is at rest."""
_SEND_SECONDS = 1.0
"""Between two pictures of a refinement."""

Send = Callable[[Picture, bool], None]
"""Shows a picture; the second argument tells whether it is one at rest."""


class Screen(Thread):
    """Draws whatever is to be seen, in a thread of its own.

    Attributes:
        session: what is looked at.
    """

    def __init__(self, session: Session, send: Send, report: Callable[[str], None]) -> None:
        """Prepare the thread.

        Args:
            session: what is looked at.
            send: called with each picture.
            report: called with a line when something cannot be drawn.
        """
        super().__init__(daemon=True)
        self.session = session
        self._send, self._report = send, report
        self._camera: Pinhole | None = None
        self._changed = Event()
        self._closed = False
        self._pixels = float(MOVING_PIXELS)
        self._refinement: Refinement | None = None

    def move(self, camera: Pinhole) -> None:
        """Look from elsewhere."""
        self._camera = camera
        self.redraw()

    @property
    def camera(self) -> Pinhole | None:
        """Where the user looks from; None before the first `move`."""
        return self._camera

    def redraw(self) -> None:
        """Draw again, for something has changed."""
        self._changed.set()

    def close(self) -> None:
        """End the thread, soon."""
        self._closed = True
        self._changed.set()

    def run(self) -> None:
        """Draw until `close`."""
        while not self._closed:
            self._changed.wait()
            self._changed.clear()
            if self._closed or self._camera is None:
                continue
            try:
                self._draw(self._camera)
            # Whatever it is, for example a photo that is damaged: the next picture may do.
            except Exception as error:
                self._report(one_line(error))

    def _draw(self, camera: Pinhole) -> None:
        self.session.leave_photo_unless_at(camera)
        start = time.perf_counter()
        self._send(self.session.picture(camera.shrunk(self._pixels)), False)
        # Half of the way to the size that would have taken the time allowed.
        fitting = self._pixels * _FRAME_SECONDS / (time.perf_counter() - start)
        self._pixels = min(max((self._pixels + fitting) / 2, _LEAST_PIXELS), MOVING_PIXELS)
        if not self._changed.wait(_REST_SECONDS):
            self._rest(camera.shrunk(RESTING_PIXELS))

    def _rest(self, camera: Pinhole) -> None:
        session, scene = self.session, self.session.scene
        under = session.picture(camera)
        self._send(under, True)
        # Behind what is hidden the field has no picture of its own; the splats have.
        if scene.source is None or session.how.hidden:
            return
        refinement = self._refinement
        if refinement is None or not refinement.fits(scene, camera):
            refinement = self._refinement = Refinement(scene, camera)
        sent = time.perf_counter()
        while not self._changed.is_set():
            if refinement.done or time.perf_counter() - sent > _SEND_SECONDS:
                refined = refinement.over(under, session.how)
                self._send(session.compared(refined, camera), True)
                sent = time.perf_counter()
            if refinement.done:
                return
            refinement.advance(scene.source)
