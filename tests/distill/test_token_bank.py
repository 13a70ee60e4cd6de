"""Which tokens an iteration compares."""

import torch

from ovs3d.distill.baked_rays import BakedRays
from ovs3d.distill.token_bank import TokenBank


def test_patches_are_squares_of_neighbouring_tokens_of_one_view() -> None:
    empty = torch.empty(0)
    tokens = torch.zeros(3, 5, 7, 2)
    bank = TokenBank(BakedRays(empty, empty, 0.0), tokens)  # type: ignore[arg-type]
    index = bank.patch_index(50, 3, torch.Generator().manual_seed(0))
    view, rest = index // 35, index % 35
    row, column = rest // 7, rest % 7
    assert index.shape == (50, 9)
    assert (view == view[:, :1]).all()
    assert set(view[:, 0].tolist()) == {0, 1, 2}
    assert ((row - row[:, :1]) == torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2])).all()
    assert ((column - column[:, :1]) == torch.tensor([0, 1, 2] * 3)).all()
    assert bank.patch_index(2, 99, torch.Generator().manual_seed(0)).shape == (2, 35)
