"""What one user looks at, and how: scene, layer, hidden labels, text, photo, camera path."""

from collections.abc import Collection
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

from ovs3d.errors import Ovs3dError, one_line
from ovs3d.language.presence import FOUND, MASK
from ovs3d.viewer.camera import Pinhole, of_photo
from ovs3d.viewer.paint import Answer, Layer, Look
from ovs3d.viewer.pictures import Picture, WarpedPhoto, splat_picture, warp_photo
from ovs3d.viewer.scene import OpenScene

if TYPE_CHECKING:
    from ovs3d.language.volume import Finding

_SHOWN_CHARACTERS = 40


class Session:
    """The state of one browser window; methods may be called from any thread.

    Attributes:
        scene: that is looked at.
        how: it is shown.
        keys: views that the camera path goes through.
        compare: share of the width that the photo jumped to takes, in [0, 1].
    """

    def __init__(self, scene: OpenScene) -> None:
        self.scene = scene
        self.how = Look()
        self.keys: list[Pinhole] = []
        self.compare = 0.0
        self._photo: tuple[int, Pinhole] | None = None
        self._warped: tuple[int, Pinhole, WarpedPhoto | None] | None = None
        self._lock = Lock()

    def show(self, layer: Layer) -> None:
        """Change to another layer."""
        with self._lock:
            self.how = replace(self.how, layer=layer)

    def hide(self, hidden: Collection[int]) -> None:
        """Draw all labels but some."""
        with self._lock:
            self.how = replace(self.how, hidden=frozenset(hidden))

    def ask(self, text: str, negatives: str = "") -> str:
        """Look for a text and show where it fits.

        Args:
            text: what to look for.
            negatives: what that is not; phrases between commas.

        Returns:
            One line: what was found, or why nothing could be looked for; then the picture stays.
        """
        text, volume = " ".join(text.split()), self.scene.volume
        if volume is None:
            return "no language volume: build stage lift first"
        if not text:
            return "type what to look for"
        against = [phrase for phrase in map(str.strip, negatives.split(",")) if phrase]
        try:
            found = volume.find([text], against)[0]
        except Ovs3dError as error:
            return one_line(error)
        answer = Answer(found.relevancy.cpu().numpy(), MASK)
        with self._lock:
            self.how = replace(self.how, layer="relevancy", answer=answer)
        return _verdict(found)

    def jump(self, view: int, width: int, height: int) -> Pinhole:
        """Return the camera of a photo, which can be compared with as long as it stays there."""
        camera = of_photo(self.scene.cameras, view, width, height)
        with self._lock:
            self._photo = (view, camera)
        return camera

    def leave_photo_unless_at(self, camera: Pinhole) -> None:
        """Forget the photo if the camera has moved away from where it was taken."""
        with self._lock:
            if self._photo and not self._photo[1].same_place(camera):
                self._photo = self._warped = None

    def picture(self, camera: Pinhole) -> Picture:
        """Draw the scene from its splats."""
        return self.compared(splat_picture(self.scene, self.how, camera), camera)

    def compared(self, picture: Picture, camera: Pinhole) -> Picture:
        """Lay as much of the photo over a picture as is asked for."""
        with self._lock:
            photo, share = self._photo, self.compare
        if photo is None or share == 0:
            return picture
        warped = self._warp(photo[0], camera)
        return warped.wiped(picture, share) if warped else picture

    def _warp(self, view: int, camera: Pinhole) -> WarpedPhoto | None:
        kept = self._warped
        if kept and kept[0] == view and kept[1].same_picture(camera):
            return kept[2]
        warped = warp_photo(self.scene, view, camera)
        self._warped = (view, camera, warped)
        return warped


def _verdict(found: "Finding") -> str:
    """Tell what a text found, in one line."""
    text = found.text
    name = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
    if not found.known:
        return f"'{name}': not found; the CLIP model does not seem to know these words"
    if not found.found:
        return f"'{name}': not found, score {found.score:.2f} of {FOUND:.2f}"
    share = float(found.mask.float().mean())
    return f"'{name}': found, score {found.score:.2f}, {share:.1%} of the surface"
