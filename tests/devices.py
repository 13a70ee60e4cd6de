"""A device that is none: tensors that claim to be elsewhere, so that one left on the CPU is found.

`ELSEWHERE` is a device of its own to torch. Its tensors keep their data on the CPU, operations run
there and give the numbers that they give on a CPU, but an operation between a tensor of it and one
of the CPU raises as it would on a GPU, and so does reading its data through NumPy.
"""

from collections.abc import Iterator
from contextlib import contextmanager
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


class _Elsewhere(Tensor):
    """Wraps the tensor of the CPU that holds the data."""

    data_here: Tensor

    @staticmethod
    def __new__(cls, data: Tensor) -> "_Elsewhere":
        wrapped: _Elsewhere = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
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
        return self.data_here.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
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
    else:
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


def _check(func: Any, leaves: list[Any], args: Any) -> None:
    """Raise if a tensor of the CPU takes part that a GPU would not take."""
    if func in _INDEXING and isinstance(args[0], _Elsewhere):
        leaves = [args[0], *(tree_leaves(args[2:]))]  # indices may be of the CPU
    for leaf in leaves:
        if isinstance(leaf, Tensor) and not isinstance(leaf, _Elsewhere) and leaf.dim():
            raise RuntimeError(
                f"{func}: a tensor {tuple(leaf.shape)} of the CPU meets one of {ELSEWHERE}"
            )


class _Generator(torch.Generator):
    """A generator of the CPU that claims to be of the device that it is asked for."""

    place: torch.device

    def __new__(cls, device: torch.device | str = "cpu") -> "_Generator":
        away = torch.device(device).type == ELSEWHERE.type
        generator = super().__new__(cls, "cpu" if away else device)
        generator.place = ELSEWHERE if away else torch.device(device)
        return generator

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.place


@contextmanager
def elsewhere() -> Iterator[torch.device]:
    """Yield a device that stands for a GPU inside the block; its random generators work, too."""
    with _FromLists(), _Mode(), mock.patch.object(torch, "Generator", _Generator):
        yield ELSEWHERE
