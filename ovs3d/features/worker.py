"""What a worker of a cluster does: it loads the model once and makes views of a store."""

import json
import socket
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from ovs3d.device import encoder_workers, resolve_device
from ovs3d.errors import ClusterError
from ovs3d.features.extract import Extraction, Work
from ovs3d.features.pipeline import fill
from ovs3d.sections import Device

SHARE = "this process and all workers need a file system that they share, at the same path"
"""What messages say about files that are not there."""
_LOADING = Lock()


@dataclass(frozen=True)
class Task:
    """What a worker needs to make any view of a scene.

    Attributes:
        work: what is to be extracted, its paths absolute.
        out: the store, an absolute path.
        device: what the worker resolves for itself.
        run: different for every run, so that a worker looks anew at files that may have changed.
    """

    work: Work
    out: Path
    device: Device
    run: str


def start(task: Task) -> None:
    """Continue or start the store: here, because the device decides what is in it."""
    prepared(task).resume(task.out)


def make_view(task: Task, fingerprint: str, view: int) -> None:
    """Make one view of the store that has this fingerprint for the process that asks.

    Raises:
        ClusterError: this worker sees other files, or would make other features.
        Ovs3dError: whatever making a view raises.
    """
    extraction, store = prepared(task), task.work.open(task.out)
    if store.fingerprint != fingerprint:
        raise ClusterError(f"{_worker()} sees another store at {task.out}; {SHARE}")
    attributes: dict[str, Any] = json.loads(json.dumps(extraction.attributes))
    if differ := [key for key, value in attributes.items() if store.attributes[key] != value]:
        raise ClusterError(
            f"{_worker()} would make other features than the worker that started the store (not "
            f"the same: {', '.join(differ)}); give all workers one version of ovs3d, the same "
            "files and one kind of device, and restart them"
        )
    with encoder_workers(resolve_device(task.device)) as workers:
        for _ in fill(store, [view], extraction.load, workers):
            pass


def prepared(task: Task) -> Extraction:
    """Load the model, once per worker process and run, however many threads the worker has."""
    with _LOADING:
        return _loaded(task)


@lru_cache(maxsize=1)
def _loaded(task: Task) -> Extraction:
    for path in (task.out.parent, *task.work.photos.paths):
        if not path.exists():
            raise ClusterError(f"{_worker()} cannot see {path}; {SHARE}")
    return task.work.prepare(resolve_device(task.device))


def _worker() -> str:
    return f"a worker on {socket.gethostname()}"
