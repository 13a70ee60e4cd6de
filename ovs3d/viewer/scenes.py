"""The scenes that a viewer shows, each opened when first somebody looks at it."""

from collections.abc import Sequence
from threading import Lock

from ovs3d.viewer.scene import OpenScene


class Scenes:
    """Scenes by name.

    Attributes:
        names: of all.
        first: the one that a new window shows.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Open the first scene.

        Args:
            names: at least one.

        Raises:
            StoreError: it cannot be shown.
        """
        self.names = list(dict.fromkeys(names))
        self._open: dict[str, OpenScene] = {}
        self._lock = Lock()
        self.first = self.get(self.names[0])

    def get(self, name: str) -> OpenScene:
        """Return a scene; one that is opened for the first time prepares what it needs.

        Raises:
            StoreError: it cannot be shown.
        """
        with self._lock:
            if name not in self._open:
                scene = OpenScene(name)
                scene.prepare()
                self._open[name] = scene
            return self._open[name]

    def close(self) -> None:
        """End what scenes still prepare."""
        for scene in self._open.values():
            scene.close()
