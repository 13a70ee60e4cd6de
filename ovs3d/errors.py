"""Errors that a user can act on: each message says what is wrong, where, and what to do."""

import sys
from collections.abc import Callable

from ovs3d.files import no_space_left

INTERRUPTED = 130
"""Exit code of a process that Ctrl-C ended, as shells have it."""


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


class QueryError(Ovs3dError):
    """What is asked of a scene cannot be answered as it is asked."""


class ClusterError(Ovs3dError):
    """Other machines cannot do their part of the work."""


def one_line(error: BaseException, limit: int = 240) -> str:
    """Return an error's message on one line, cut to `limit` characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 3] + "..."


def guarded(program: str, work: Callable[[], int | None]) -> int:
    """Do a program's work; tell on stderr, in one line, what a user can do something about.

    Args:
        program: name that the line begins with.
        work: returns the exit code, or nothing if it can only end well.

    Returns:
        That of the work, 1 after an `Ovs3dError` or on a full disk, 130 after Ctrl-C.
    """
    try:
        return work() or 0
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Ovs3dError as error:
        print(f"{program}: {error}", file=sys.stderr)
    except Exception as error:
        if not no_space_left(error):
            raise
        print(
            f"{program}: the disk or the quota is full ({one_line(error)}); free some space and "
            "repeat",
            file=sys.stderr,
        )
    return 1
