"""Errors that a user can act on: each message says what is wrong, where, and what to do."""


class Ovs3dError(Exception):
    """A mistake in input, parameters or stored files, told in one line."""


class ParamsError(Ovs3dError):
    """A parameter is unknown, missing or out of range."""


class SceneError(Ovs3dError):
    """Photos, labels or masks cannot be used as they are."""


class PosesError(Ovs3dError):
    """Camera poses could not be recovered or read."""


class WeightsError(Ovs3dError):
    """Model weights were not found or do not fit the model."""


class StoreError(Ovs3dError):
    """A feature store or checkpoint is truncated, foreign or of another version."""


class ClusterError(Ovs3dError):
    """Other machines cannot do their part of the work."""
