"""Products of matrices as tensor cores of a GPU compute them, on any device.

They round what is multiplied to fewer bits and sum in float32; everything else stays float32.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from studies import distilled
from studies.case import Case, LabelMaps

_PRODUCTS = ("addbmm", "addmm", "baddbmm", "bmm", "mm", "mv")
_MANTISSA = 23
"""Bits of float32's."""

BITS = {"tf32": 10, "bf16": 7}
"""Name of a format -> bits of its mantissa; its exponents are those of float32."""


class RoundedProducts(TorchDispatchMode):
    """Within it the products of float32 matrices, of gradients as well, take rounded matrices.

    Args:
        bits: of the mantissa that are kept.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bits = bits

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in _PRODUCTS:
            # What is multiplied comes last; before it stands what the product is added to.
            args = (*args[:-2], *(rounded(each, self.bits) for each in args[-2:]))
        return func(*args, **(kwargs or {}))


def rounded(values: Tensor, bits: int) -> Tensor:
    """Return float32 values with so many bits of mantissa, to the nearest, ties to even."""
    if values.dtype != torch.float32:
        return values
    dropped = _MANTISSA - bits
    whole = values.contiguous().view(torch.int32)
    up = (1 << (dropped - 1)) - 1 + ((whole >> dropped) & 1)
    return ((whole + up) & -(1 << dropped)).view(torch.float32)


def label_maps(name: str, case: Case) -> LabelMaps:
    """Distil and label the views of a case with products as in one of the formats `BITS`."""
    with RoundedProducts(BITS[name]):
        return distilled.label_maps(case)
