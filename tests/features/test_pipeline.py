"""Threads that decode, encode and write: in order, and an error in any of them ends all."""

import threading
from pathlib import Path

import pytest
import torch

from ovs3d.errors import StoreError
from ovs3d.features.pipeline import Part, fill, in_order
from tests.features.stores import VIEWS, make_embeddings, make_store
from tests.features.test_store import contents


class Killed(BaseException):
    """Stands for whatever ends a thread without warning."""


def kill() -> torch.Tensor:
    raise Killed


def test_in_order_keeps_the_order_and_does_not_run_far_ahead() -> None:
    started: list[int] = []
    release = threading.Event()

    def work(item: int) -> int:
        started.append(item)
        if item == 0:
            assert release.wait(60)
        return -item

    results = in_order(work, range(100), workers=2, ahead=3)
    # The first is the last to be done.
    threading.Timer(0.1, release.set).start()
    assert next(results) == 0
    assert set(started) <= {0, 1, 2, 3}
    assert list(results) == [-item for item in range(1, 100)]


def test_views_are_put_together_from_their_parts(tmp_path: Path) -> None:
    def load(view: int) -> list[Part]:
        return [lambda half=half: half for half in make_embeddings(view).split(20)]  # type: ignore[misc]

    store = make_store(tmp_path / "two" / "clip.zarr", views=())
    parts = list(fill(store, VIEWS, load, workers=2))
    assert [view for view, _ in parts] == sorted(view for view, _ in parts)
    assert torch.equal(torch.cat([part for view, part in parts if view == 4]), make_embeddings(4))
    make_store(tmp_path / "one" / "clip.zarr")
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


@pytest.mark.parametrize("where", ["decoding", "encoding", "writing"])
def test_error_in_any_thread_ends_all(tmp_path: Path, where: str) -> None:
    def load(view: int) -> list[Part]:
        values = make_embeddings(view)
        if view == VIEWS[1]:
            if where == "decoding":
                raise Killed
            if where == "encoding":
                return [kill]
            values[0] = torch.inf
        return [lambda: values]

    store = make_store(tmp_path / "clip.zarr", views=())
    with pytest.raises(StoreError if where == "writing" else Killed):
        list(fill(store, VIEWS, load, workers=2))
    assert VIEWS[1] in store.missing()
