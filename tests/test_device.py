import pytest
import torch
from torch import Tensor

from ovs3d import device
from ovs3d.device import encoder_workers, lowest_precision, to_device

CPU = torch.device("cpu")
VECTORS = torch.nn.functional.normalize(
    torch.randn(5, 64, generator=torch.Generator().manual_seed(0)), dim=-1
)


@pytest.fixture(autouse=True)
def half_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_fast_types", lambda _: (torch.float16, torch.bfloat16))


def test_lowest_precision_is_the_first_that_keeps_directions() -> None:
    assert lowest_precision(CPU, VECTORS.to) == torch.float16


def test_lowest_precision_passes_over_a_type_that_overflows() -> None:
    assert lowest_precision(CPU, lambda dtype: (VECTORS * 1e6).to(dtype)) == torch.bfloat16


def test_lowest_precision_is_float32_where_one_vector_turns() -> None:
    def encode(dtype: torch.dtype) -> Tensor:
        vectors = VECTORS.clone()
        if dtype != torch.float32:
            # The cosine of an angle of 0.05 is 0.9987.
            across = vectors[3].roll(1) - vectors[3] * (vectors[3] @ vectors[3].roll(1))
            vectors[3] += 0.05 * torch.nn.functional.normalize(across, dim=0)
        return vectors

    assert lowest_precision(CPU, encode) == torch.float32


def test_machine_without_fast_halves_takes_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True}, raising=False)
    assert lowest_precision(CPU, VECTORS.to) == torch.float32
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    assert lowest_precision(CPU, VECTORS.to) == torch.bfloat16


def test_encoder_workers_share_out_torchs_threads_and_give_them_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with encoder_workers(CPU) as workers:
            inside = torch.get_num_threads()
        assert (workers, inside, torch.get_num_threads()) == (3, 1, 3)
    finally:
        torch.set_num_threads(before)


def test_to_device_leaves_a_tensor_of_the_cpu_where_it_is() -> None:
    assert to_device(VECTORS, CPU) is VECTORS
