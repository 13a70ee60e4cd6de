"""Errors that a user can act on: each message says what is wrong, where, and what to do."""

import difflib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from ovs3d.files import no_space_left

INTERRUPTED, TERMINATED = 130, 143
"""Exit codes of a process that Ctrl-C or SIGTERM ended, as shells have them."""
MISTAKE = 2
"""Exit code after a mistake of the user, as argparse has it."""


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


def one_line(error: BaseException | str, limit: int = 240) -> str:
    """Return an error's message, or a text, on one line, cut to `limit` characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 3] + "..."


def did_you_mean(name: str, known: Iterable[Any]) -> str:
    """Return what to add to a message about an unknown name: the nearest one, or all that are."""
    names = [str(key) for key in known]
    begun = [known for known in names if name and known.startswith(name)]
    matches = begun or difflib.get_close_matches(name, names, n=1, cutoff=0.45)
    if matches:
        return f"; did you mean '{matches[0]}'?"
    return f"; known: {', '.join(names)}" if names else ""


class _Terminated(KeyboardInterrupt):
    """SIGTERM came; whatever cleans up after Ctrl-C cleans up after it."""


def guarded(program: str, work: Callable[[], int | None]) -> int:
    """Do a program's work; tell on stderr, in one line, what a user can do something about.

    Args:
        program: name that the line begins with.
        work: returns the exit code, or nothing if it can only end well.

    Returns:
        That of the work, 2 after an `Ovs3dError` or on a file that cannot be used, 1 on a full
        disk, 130 after Ctrl-C, 143 after SIGTERM.
    """
    heed_sigterm()
    code = MISTAKE
    try:
        return work() or 0
    except _Terminated:
        message, code = "interrupted (SIGTERM)", TERMINATED
    except KeyboardInterrupt:
        message, code = "interrupted", INTERRUPTED
    except Ovs3dError as error:
        message = str(error)
    except Exception as error:
        if no_space_left(error):
            message = (
                f"the disk or the quota is full ({one_line(error)}); free some space and repeat"
            )
            code = 1
        elif isinstance(error, OSError) and error.filename is not None:
            message = f"{os.fsdecode(error.filename)}: {error.strerror}"
        else:
            raise
    print(f"{program}: {message}", file=sys.stderr)
    return code


def heed_sigterm() -> None:
    """Let SIGTERM end what `guarded` does; needed again where COLMAP was imported meanwhile.

    Its logger takes SIGTERM for a crash and prints all that the machine was doing.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(*_: object) -> None:
    raise _Terminated
