"""A device that is none: tensors that claim to be elsewhere, so that one left on the CPU is found.

`ELSEWHERE` is a device of its own to torch. Its tensors keep their data on the CPU, operations run
there and give the numbers that they give on a CPU, but an operation between a tensor of it and one
of the CPU raises as it would on a GPU, and so does reading its data through NumPy. `watched_waits`
tells where a GPU would make the host wait for it.
"""

import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

import ovs3d


class _Backend(_DummyBackendModule):
    """What torch asks a device's module for."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16]


_setup_privateuseone_for_python_backend("elsewhere", _Backend())
# Without rules of its own, mixed precision changes nothing there.
_LIBRARY = torch.library.Library("_", "IMPL")
_LIBRARY.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")

ELSEWHERE = torch.device("elsewhere", 0)
_COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
_INDEXING = (
    torch.ops.aten.index.Tensor,
    torch.ops.aten.index_put.default,
    torch.ops.aten.index_put_.default,
    torch.ops.aten._index_put_impl_.default,
)
_READ_BACKS = {
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.is_nonzero.default,
    torch.ops.aten.equal.default,
    # The shapes of their results depend on the data.
    torch.ops.aten.nonzero.default,
    torch.ops.aten.masked_select.default,
    torch.ops.aten._unique2.default,
    torch.ops.aten.unique_dim.default,
    torch.ops.aten.unique_consecutive.default,
    torch.ops.aten.bincount.default,
    # They look whether it worked.
    torch.ops.aten._linalg_check_errors.default,
}
_LIBRARY_FOLDER = Path(ovs3d.__file__).parent
_watchers: list[Counter[str]] = []


class _Elsewhere(Tensor):
    """Wraps the tensor of the CPU that holds the data."""

    data_here: Tensor

    @staticmethod
    def __new__(cls, data: Tensor) -> "_Elsewhere":
        wrapped: _Elsewhere = Tensor._make_wrapper_subclass(
            cls,
            data.size(),
            strides=data.stride(),
            storage_offset=data.storage_offset(),
            dtype=data.dtype,
            device=ELSEWHERE,
        )
        wrapped.data_here = data
        return wrapped

    def tolist(self) -> Any:
        """Copy the values into lists, which torch leaves to plain tensors."""
        _note("tolist")
        return self.data_here.tolist()

    # A class method, as torch's own subclasses have it; the stub shows another one.
    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _run(func, args, kwargs or {})


class _Mode(TorchDispatchMode):
    """Sees operations that make tensors, too."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _FromLists(TorchFunctionMode):
    """Makes tensors out of Python numbers in two steps, because torch's one step is hidden."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") is not None:
            device = kwargs.pop("device")
            return func(*args, **kwargs).to(device)
        if func is torch.Tensor.new_tensor and isinstance(args[0], _Elsewhere):
            like, data = args
            return torch.tensor(data, **{"dtype": like.dtype, **kwargs}).to(like.device)
        return func(*args, **kwargs)


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    leaves = tree_leaves((args, kwargs))
    away = any(isinstance(leaf, _Elsewhere) for leaf in leaves)
    if func in _COPIES:
        target = kwargs.get("device") or args[0].device
        _watch_copy(func, args, kwargs, torch.device(target))
    else:
        _watch(func, leaves, args, kwargs)
        if away:
            _check(func, leaves, args)
        target = ELSEWHERE if away else kwargs.get("device")
    if kwargs.get("device") is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    args_here, kwargs_here = tree_map(_unwrap, (args, kwargs))
    result = func(*args_here, **kwargs_here)
    if target is None or torch.device(target).type != ELSEWHERE.type:
        return result
    wrapped = tree_map(lambda leaf: _Elsewhere(leaf) if type(leaf) is Tensor else leaf, result)
    return return_and_correct_aliasing(func, args, kwargs, wrapped)


def _unwrap(leaf: Any) -> Any:
    return leaf.data_here if isinstance(leaf, _Elsewhere) else leaf


def _watch(func: Any, leaves: list[Any], args: Any, kwargs: dict[str, Any]) -> None:
    """Note an operation of the device for whose result the host waits."""
    if not _watchers or not any(isinstance(leaf, _Elsewhere) for leaf in leaves):
        return
    masks = func in _INDEXING and any(
        isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8) for index in args[1]
    )
    repeats = func is torch.ops.aten.repeat_interleave.Tensor and not kwargs.get("output_size")
    if func in _READ_BACKS or masks or repeats:
        _note(str(func))


def _watch_copy(func: Any, args: Any, kwargs: dict[str, Any], target: torch.device) -> None:
    """Note a copy that waits: every one to the CPU, and to the device unless told not to."""
    source = args[1] if func is torch.ops.aten.copy_.default else args[0]
    arrives, leaves = target.type != "cpu", source.device.type != "cpu"
    told = kwargs.get("non_blocking") or args[2:] == (True,)
    if leaves and not arrives:
        _note("copy to the CPU")
    elif arrives and not leaves and not told and source.dim():
        _note("blocking copy to the device")


def _note(what: str) -> None:
    """Add a wait to what is watched, by the line of the library that asked for it."""
    for watcher in _watchers:
        line = next(
            (
                f"{Path(frame.filename).relative_to(_LIBRARY_FOLDER)}:{frame.lineno}"
                for frame in reversed(traceback.extract_stack())
                if Path(frame.filename).is_relative_to(_LIBRARY_FOLDER)
            ),
            "no line of the library",
        )
        watcher[f"{line} {what}"] += 1


def _check(func: Any, leaves: list[Any], args: Any) -> None:
    """Raise if a tensor of the CPU takes part that a GPU would not take."""
    if func in _INDEXING and isinstance(args[0], _Elsewhere):
        leaves = [args[0], *(tree_leaves(args[2:]))]  # indices may be of the CPU
    for leaf in leaves:
        if isinstance(leaf, Tensor) and not isinstance(leaf, _Elsewhere) and leaf.dim():
            raise RuntimeError(
                f"{func}: a tensor {tuple(leaf.shape)} of the CPU meets one of {ELSEWHERE}"
            )


@contextmanager
def watched_waits() -> Iterator[Counter[str]]:
    """Count, inside `elsewhere`, what would make the host wait for a GPU: `file:line operation`.

    That is every value that is read back, every result whose shape depends on data, and every copy
    from pageable memory.
    """
    found: Counter[str] = Counter()
    _watchers.append(found)
    try:
        yield found
    finally:
        _watchers.remove(found)


class _Generator(torch.Generator):
    """A generator of the CPU that claims to be of the device that it is asked for."""

    place: torch.device

    def __new__(cls, device: torch.device | str = "cpu") -> "_Generator":
        away = torch.device(device).type == ELSEWHERE.type
        # torch's stub has `__init__` in its place.
        generator = super().__new__(cls, "cpu" if away else device)  # type: ignore[call-arg]
        generator.place = ELSEWHERE if away else torch.device(device)
        return generator

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.place


@contextmanager
def elsewhere() -> Iterator[torch.device]:
    """Yield a device that stands for a GPU inside the block; its random generators work, too."""
    mode = _Mode()  # type: ignore[no-untyped-call]
    with _FromLists(), mode, mock.patch.object(torch, "Generator", _Generator):
        yield ELSEWHERE
