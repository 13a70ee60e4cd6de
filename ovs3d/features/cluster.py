"""Feature extraction on many machines: one Dask task a view, written by the worker that made it.

Whatever started the cluster (processes of this machine, SSH, SLURM, Kubernetes), all that is
needed here is the address of its scheduler. Workers see photos, weights and store at the same
path as this process, through a shared file system. Each loads the model once.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

from ovs3d.errors import ClusterError, Ovs3dError, StoreError, one_line
from ovs3d.features import worker
from ovs3d.features.extract import Filled, Work
from ovs3d.features.view_store import ViewStore
from ovs3d.features.weights import tagged_file
from ovs3d.photos.dataset import Photos
from ovs3d.progress import progress
from ovs3d.sections import Device

if TYPE_CHECKING:
    from distributed import Client, Future

SCHEDULER_VARIABLE = "OVS3D_SCHEDULER"
"""An address is a fact of a machine and a day, so it is no parameter: no stage depends on it."""
_CONNECT_SECONDS = 5
_APPEAR_SECONDS = 90
"""A network file system may hide for a minute that another machine has made a file."""
_LOOK_SECONDS = 0.5
_REPEAT = "views that are done are kept, repeat the command for the others"
Result = TypeVar("Result")


@dataclass(frozen=True)
class Cluster:
    """A running Dask cluster.

    Attributes:
        address: of its scheduler, for example tcp://node7:8786.
        device: what every worker resolves for itself; the machine that asks may have no GPU.
    """

    address: str
    device: Device

    @classmethod
    def from_environment(cls, device: Device) -> "Cluster | None":
        """Return the cluster that `OVS3D_SCHEDULER` names, None without one."""
        address = os.environ.get(SCHEDULER_VARIABLE)
        return cls(address, device) if address else None

    def extract(self, work: Work, out: Path) -> Filled:
        """Have workers make the missing views of a store.

        Args:
            work: what is to be extracted.
            out: the store, on a file system that the workers see at the same path.

        Raises:
            ClusterError: the scheduler does not answer or goes away, a worker sees other files or
                makes other features, or a view ends several workers.
            Ovs3dError: whatever making a view raises.
        """
        out.parent.mkdir(parents=True, exist_ok=True)
        task = worker.Task(_absolute(work), out.absolute(), self.device, uuid4().hex)
        with _connected(self.address) as client:
            with progress("store", 1, "stores") as advance:
                advance(0, note=f"waiting for a worker of {self.address}")
                _import(client, worker.__name__)
                _result(client.submit(worker.start, task, pure=False), "the store")
                advance()
            store = _seen(lambda: work.open(out))
            missing = store.missing()
            started = time.perf_counter()
            with progress(work.title.split()[0], len(missing), "views") as advance:
                for view in self._run(client, task, store.fingerprint, missing):
                    _seen(partial(_check, store, view))
                    advance(note=work.photos.names[view])
        store.finish()
        return Filled(store, len(store.views) - len(missing), time.perf_counter() - started)

    def _run(
        self, client: "Client", task: worker.Task, fingerprint: str, views: tuple[int, ...]
    ) -> Iterator[int]:
        """Submit a task for each view, and yield each view when its task has ended well."""
        from distributed import as_completed

        view_of = {
            client.submit(worker.make_view, task, fingerprint, view, pure=False): view
            for view in views
        }
        for future in as_completed(list(view_of), loop=client.loop):
            # Without a reference to it, the scheduler forgets the task and never repeats it.
            view = view_of.pop(future)
            _result(future, f"view {view} ({task.work.photos.names[view]})")
            yield view


def _import(client: "Client", module: str) -> None:
    """Have a worker import a module.

    One that cannot would end, without a word, as soon as it got a function of that module.

    Raises:
        ClusterError: it cannot.
    """
    error = client.submit(import_module, module, pure=False).exception()
    if isinstance(error, ImportError):
        raise ClusterError(
            f"a worker cannot import ovs3d ({one_line(error)}); start the scheduler and all "
            "workers in environments like this one"
        )


def _absolute(work: Work) -> Work:
    """Return the work with paths that mean the same in any working directory."""
    photos = work.photos
    files = {}
    for name, value in (("model", work.params.model), ("weights", work.params.weights)):
        tag, file = tagged_file(value)
        if file is not None:
            files[name] = f"{tag}@{file.absolute()}" if tag else str(file.absolute())
    return replace(
        work,
        photos=Photos(tuple(path.absolute() for path in photos.paths), photos.width, photos.height),
        params=work.params.model_copy(update=files),
    )


def _result(future: "Future", what: str) -> None:
    """Wait for a task.

    Raises:
        ClusterError: the scheduler went away, the task ended several workers, or it failed.
        Ovs3dError: what the task raised.
    """
    from distributed import KilledWorker

    error = future.exception()
    if future.cancelled():
        raise ClusterError(f"the Dask scheduler went away; {_REPEAT}")
    if isinstance(error, Ovs3dError):
        raise error
    if isinstance(error, KilledWorker):
        raise ClusterError(
            f"{what} ended {error.allowed_failures + 1} workers, the last of them "
            f"{error.last_worker.address}; their logs may say why (memory?); {_REPEAT}"
        )
    if error is not None:
        raise ClusterError(f"{what} failed on a worker: {one_line(error)}; {_REPEAT}")


def _check(store: ViewStore, view: int) -> None:
    if not store.has(view):
        raise StoreError(f"{store.path}: no view {view}")


def _seen(look: Callable[[], Result], seconds: float = _APPEAR_SECONDS) -> Result:
    """Look at what a worker wrote, again and again while it raises a `StoreError`.

    Raises:
        ClusterError: it does not appear.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return look()
        except StoreError as error:
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"what a worker wrote is not here ({error}); {worker.SHARE}"
                ) from None
        time.sleep(_LOOK_SECONDS)


@contextmanager
def _connected(address: str) -> Iterator["Client"]:
    """Connect to a scheduler, without the log lines of a connection that fails.

    Raises:
        ClusterError: Dask is not installed, or no scheduler answers.
    """
    try:
        import dask
        from distributed import Client
    except ImportError:
        raise ClusterError(
            f"{SCHEDULER_VARIABLE} is set, but Dask is not installed; "
            "run pip install 'ovs3d[cluster]'"
        ) from None
    logger = logging.getLogger("distributed")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with dask.config.set({"distributed.comm.timeouts.connect": f"{_CONNECT_SECONDS}s"}):
            try:
                client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
            # An address that makes no sense is a ValueError, an unknown host an OSError.
            except (OSError, ValueError) as error:
                raise ClusterError(
                    f"no Dask scheduler answers at {address} ({one_line(error)}); start one, or "
                    f"unset {SCHEDULER_VARIABLE} to work on this machine"
                ) from None
            with client:
                yield client
    finally:
        logger.setLevel(level)
