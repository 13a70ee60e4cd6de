"""What is known about a scene before distillation, and which of its views can teach what."""

from dataclasses import dataclass

from torch import Tensor

from ovs3d.errors import SceneError
from ovs3d.features.store import FeatureStore
from ovs3d.features.token_store import TokenStore
from ovs3d.photos.dataset import Photos
from ovs3d.space.cameras import Cameras
from ovs3d.spill import Spill


@dataclass(frozen=True, eq=False)
class DistillInputs:
    """Everything that is known about a scene before distillation."""

    photos: Photos
    cameras: Cameras
    train_views: tuple[int, ...]
    """Photo indices, also of photos without a pose, windows or tokens."""
    clip: FeatureStore
    dino: TokenStore
    labels: tuple[str, ...]
    text: Tensor
    """[C, D] unit text features, on the device to train on."""
    spill: Spill
    """Takes what is read in every iteration, on the device of the texts or in files."""

    def pixel_views(self) -> tuple[int, ...]:
        """Return the training views that have a pose and CLIP features.

        Raises:
            SceneError: there is none.
        """
        return self._usable(self.clip, "CLIP features; raise clip_features.views or")

    def token_views(self) -> tuple[int, ...]:
        """Return the training views that have a pose and DINO tokens.

        Raises:
            SceneError: there is none.
        """
        return self._usable(self.dino, "DINO tokens;")

    def rows(self) -> dict[str, object]:
        """Return rows of the table that the stage closes with: what is counted -> how many."""
        return {
            "training views with CLIP features": len(self.pixel_views()),
            "training views with DINO tokens": len(self.token_views()),
            "labels": len(self.labels),
        }

    def _usable(self, store: FeatureStore | TokenStore, lacking: str) -> tuple[int, ...]:
        usable = set(self.cameras.views) & set(store.views)
        views = tuple(view for view in self.train_views if view in usable)
        if not views:
            raise SceneError(
                f"no training view has a pose and {lacking} list fewer val_views or test_views"
            )
        return views
