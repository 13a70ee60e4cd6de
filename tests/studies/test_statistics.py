"""Changed statistics: each change does what it says, and the knowledge stays."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from studies.statistics import FITS, Change, Sample

DIM, LABELS, WINDOWS = 64, 6, 400


def draw() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def vectors(count: int, dims: int) -> Tensor:
    """Return vectors that use some dimensions much and the others hardly, as encoders do."""
    scale = torch.cat((torch.ones(dims), torch.full((DIM - dims,), 0.02)))
    return torch.randn(count, DIM, generator=torch.Generator().manual_seed(count)) * scale


@pytest.fixture(scope="module")
def sample() -> Sample:
    """Windows around texts, which have little in common."""
    text = normalize(vectors(LABELS, 20), dim=1)
    truth = torch.arange(WINDOWS) % LABELS
    windows = normalize(text[truth] + 0.15 * vectors(WINDOWS, 20), dim=1)
    return Sample(windows, text, 5 * vectors(300, 30))


def fit(name: str, sample: Sample) -> Change:
    return FITS[name][1](sample, draw())


def cosines(sample: Sample, change: Change) -> Tensor:
    text = sample.text if change.text is None else change.text
    windows = sample.windows if change.windows is None else change.windows(sample.windows, draw())
    torch.testing.assert_close(windows.norm(dim=1), torch.ones(WINDOWS))
    torch.testing.assert_close(text.norm(dim=1), torch.ones(LABELS))
    return windows @ text.T


def mean_cosine(unit: Tensor) -> float:
    pairs = unit @ unit.T
    return float((pairs.sum() - pairs.trace()) / (len(unit) * (len(unit) - 1)))


@pytest.mark.parametrize("name", ["gap", "text", "windows"])
def test_no_window_changes_its_order_of_labels(name: str, sample: Sample) -> None:
    before, after = sample.windows @ sample.text.T, cosines(sample, fit(name, sample))
    # Up to a shift and a factor, cosines stay what they were.
    before, after = (each - each.mean(dim=1, keepdim=True) for each in (before, after))
    assert cosine_similarity(before, after, dim=1).min() > 0.999
    assert (before.argmax(dim=1) == after.argmax(dim=1)).all()


def test_gap_has_the_cosines_of_the_published_clip(sample: Sample) -> None:
    after = cosines(sample, fit("gap", sample))
    spread = after.amax(dim=1) - after.amin(dim=1)
    assert after.amax(dim=1).min() > 0.2
    assert after.amax() < 0.3
    assert 0.02 < spread.quantile(0.9) < 0.0301
    assert fit("gap", sample).tokens is None


def test_texts_come_close_to_each_other_and_windows_stay(sample: Sample) -> None:
    change = fit("text", sample)
    assert change.text is not None
    pairs = change.text @ change.text.T
    assert mean_cosine(change.text) == pytest.approx(0.8, abs=1e-3)
    assert pairs.min() > 0.7
    assert pairs.fill_diagonal_(0).max() < 0.9
    assert change.windows is None
    assert change.tokens is None


def test_windows_come_close_to_each_other_and_texts_stay(sample: Sample) -> None:
    change = fit("windows", sample)
    assert change.windows is not None
    assert mean_cosine(change.windows(sample.windows, draw())) == pytest.approx(0.85, abs=0.01)
    assert change.text is None
    assert change.tokens is None


@pytest.mark.parametrize("share", [0.1, 0.4, 0.7])
def test_tokens_share_what_they_are_said_to(share: float, sample: Sample) -> None:
    change = fit(f"dino_shared_{share}", sample)
    assert change.tokens is not None
    assert change.windows is None
    assert change.text is None
    before, after = sample.tokens, change.tokens(sample.tokens, draw())
    torch.testing.assert_close(after.norm(dim=1), before.norm(dim=1), rtol=0.02, atol=0)
    unit, moved = normalize(before, dim=1), normalize(after, dim=1)
    expected = (1 - share) * (unit @ unit.T) + share
    torch.testing.assert_close(moved @ moved.T, expected, rtol=0, atol=0.05)


def test_lengths_of_tokens_change_and_directions_stay(sample: Sample) -> None:
    change = fit("dino_length", sample)
    assert change.tokens is not None
    assert change.windows is None
    assert change.text is None
    after = change.tokens(sample.tokens, draw())
    factors = after.norm(dim=1) / sample.tokens.norm(dim=1)
    assert cosine_similarity(after, sample.tokens, dim=1).min() > 0.9999
    assert factors.log().std() == pytest.approx(0.5, abs=0.05)
    assert factors.log().mean().exp() == pytest.approx(7, rel=0.1)


def test_noise_turns_everything_by_the_same_angle(sample: Sample) -> None:
    change = fit("noise", sample)
    assert change.windows is not None
    assert change.tokens is not None
    assert change.text is None
    for move, before in ((change.windows, sample.windows), (change.tokens, sample.tokens)):
        after = move(before, draw())
        found = cosine_similarity(after, before, dim=1)
        torch.testing.assert_close(found, torch.full_like(found, 0.9))
        torch.testing.assert_close(after.norm(dim=1), before.norm(dim=1))


@pytest.mark.parametrize("name", FITS)
def test_a_seed_gives_the_same_change(name: str, sample: Sample) -> None:
    first, second = fit(name, sample), fit(name, sample)
    if first.text is not None and second.text is not None:
        assert torch.equal(first.text, second.text)
    if first.windows and second.windows:
        moved = first.windows(sample.windows, draw())
        assert torch.equal(moved, second.windows(sample.windows, draw()))
    if first.tokens and second.tokens:
        assert torch.equal(
            first.tokens(sample.tokens, draw()), second.tokens(sample.tokens, draw())
        )
