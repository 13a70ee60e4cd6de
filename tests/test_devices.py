from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.devices import elsewhere

HERE = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))


def test_training_elsewhere_gives_what_the_cpu_gives() -> None:
    weights = []
    with elsewhere() as device:
        for place in (torch.device("cpu"), device):
            torch.manual_seed(0)
            layer = torch.nn.Linear(3, 5).to(place)
            optimiser = torch.optim.Adam(layer.parameters(), fused=True)
            rays = torch.rand(
                8, 3, generator=torch.Generator(device=place).manual_seed(1), device=place
            )
            layer(rays[rays[:, 0] > 0.5]).relu().sum().backward()
            optimiser.step()
            assert layer.weight.device == place
            weights.append(layer.weight.detach().cpu())
    torch.testing.assert_close(weights[0], weights[1])


@pytest.mark.parametrize(
    "mixed",
    [
        lambda away: away @ HERE.T,
        lambda away: torch.cat([away, HERE]),
        lambda away: HERE[torch.zeros(2, dtype=torch.int64, device=away.device)],
        lambda away: away.scatter_(0, torch.zeros(1, 3, dtype=torch.int64), 1.0),
        lambda away: torch.where(HERE > 0.5, away, 0.0),
        lambda away: HERE.add_(away),
    ],
)
def test_tensor_left_on_the_cpu_is_found(mixed: Callable[[Tensor], Tensor]) -> None:
    with elsewhere() as device, pytest.raises(RuntimeError, match="of the CPU meets one of"):
        mixed(HERE.to(device))


def test_data_elsewhere_cannot_be_read_through_numpy() -> None:
    with elsewhere() as device, pytest.raises(RuntimeError, match="numpy"):
        HERE.to(device).numpy()


def test_what_a_gpu_allows_is_allowed() -> None:
    with elsewhere() as device:
        away = HERE.to(device)
        torch.testing.assert_close((away * torch.tensor(2.0)).cpu(), HERE * 2)
        torch.testing.assert_close(away[torch.tensor([2, 0])].cpu(), HERE[[2, 0]])
        away[1:3] = 1
        away[0, 0] = 5.0
        assert away.tolist()[0][0] == 5
        assert away[2].sum().item() == 3
        assert torch.tensor([1.0, 2.0], device=device).device == device
        copied = torch.zeros(4, 3).copy_(away)
        assert copied.device.type == "cpu"
        torch.testing.assert_close(copied, away.cpu())
