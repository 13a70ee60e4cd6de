"""Units of a scene: what encoders' statistics change, and what the losses see of it."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ovs3d.distill.calibration import (
    ClipUnits,
    ScoreUnits,
    calibrate_fda,
    measure_clip_units,
    measure_score_units,
    measure_token_units,
    neutral_clip_units,
)
from ovs3d.distill.fda import fda_loss
from ovs3d.distill.heads import center_texts
from tests.distill.params import distill_params, fda_params, relevancy_params

SCENE = relevancy_params(normalise="scene", sharpness=2.5)
VIEW = SCENE.model_copy(update={"normalise": "view", "sharpness": 1.0})
FDA = fda_params(positive=1.5, negative=1.5, temperature=0.83, offset=0.85)


@pytest.fixture
def features() -> Tensor:
    """Of 96 pixels at two scales; the last two dimensions are empty."""
    generator = torch.Generator().manual_seed(3)
    random = torch.randn(96, 2, 12, generator=generator)
    random[..., 10:] = 0
    return normalize(random, dim=-1)


@pytest.fixture
def text() -> Tensor:
    generator = torch.Generator().manual_seed(4)
    random = torch.randn(5, 12, generator=generator)
    random[:, 10:] = 0
    return normalize(random, dim=-1)


def scores_of(features: Tensor, text: Tensor) -> Tensor:
    cosines = normalize(features, dim=-1) @ text.T
    return (cosines - cosines.mean(-1, keepdim=True)).half().float()


def measure(features: Tensor, text: Tensor) -> tuple[ClipUnits, Tensor]:
    """Return the units and what RDA's targets are made of."""
    scores = scores_of(features, text)
    units = measure_score_units(scores, SCENE)
    return measure_clip_units(features, text), units.apply(scores)


def test_a_modality_gap_changes_neither_logits_nor_targets(features: Tensor, text: Tensor) -> None:
    units, targets = measure(features, text)
    logits = normalize(features - units.center, dim=-1) @ center_texts(text, units.text_center).T
    gap, other = torch.eye(12)[10] * 3, torch.eye(12)[11] * 2 + torch.eye(12)[10]
    moved, moved_text = normalize(features + gap, dim=-1), normalize(text + other, dim=-1)
    cosines = moved @ moved_text.T
    assert cosines.std(-1).mean() < 0.2 * (features @ text.T).std(-1).mean()
    moved_units, moved_targets = measure(moved, moved_text)
    moved_logits = (
        normalize(moved - moved_units.center, dim=-1)
        @ center_texts(moved_text, moved_units.text_center).T
    )
    torch.testing.assert_close(
        moved_logits / moved_units.spread, logits / units.spread, atol=1e-4, rtol=0
    )
    # What is left is the rounding of half precision.
    torch.testing.assert_close(moved_targets, targets, atol=2e-2, rtol=0)


def test_spread_is_that_of_the_cosines_of_a_pixel(features: Tensor, text: Tensor) -> None:
    units, _ = measure(features, text)
    cosines = (
        normalize(features - features.mean((0, 1)), dim=-1)
        @ normalize(text - text.mean(0), dim=-1).T
    )
    assert units.spread == pytest.approx(cosines.std(-1).mean().item(), rel=1e-4)


def test_scores_of_a_view_are_left_as_they_are(features: Tensor, text: Tensor) -> None:
    scores = scores_of(features, text)
    torch.testing.assert_close(measure_score_units(scores, VIEW).apply(scores), scores)


def test_a_label_weights_the_scales_by_its_peak() -> None:
    # Label 0 stands out in the second scale, label 1 in the first, label 2 in neither.
    scores = torch.zeros(1000, 2, 3)
    scores[:500] = torch.tensor([[0.2, 0.0, 0.1], [0.8, 0.0, 0.1]])
    scores[500:] = torch.tensor([[0.0, 0.9, 0.1], [0.0, 0.3, 0.1]])
    params = SCENE.model_copy(update={"scale_sharpness": 3.0})
    units = measure_score_units(scores, params)
    weights = units.scale_weights
    assert weights is not None
    torch.testing.assert_close(weights.sum(0), torch.ones(3))
    assert weights[1, 0] > 0.7
    assert weights[0, 1] > 0.7
    assert 0.3 < weights[0, 2] < 0.7
    applied = units.apply(scores)
    assert applied.shape == (1000, 1, 3)
    expected = (scores[0] * weights).sum(0) * units.factor
    torch.testing.assert_close(applied[0, 0], expected)
    even = measure_score_units(scores, params.model_copy(update={"scale_sharpness": 0.0}))
    torch.testing.assert_close(even.apply(scores)[:, 0], (scores * even.factor).mean(1))


def test_one_label_alone_has_units(features: Tensor, text: Tensor) -> None:
    units, targets = measure(features, text[:1])
    assert torch.equal(units.text_center, torch.zeros(12))
    assert units.spread > 0
    assert targets.isfinite().all()


def test_neutral_units_change_nothing(text: Tensor) -> None:
    units = neutral_clip_units(text)
    torch.testing.assert_close(center_texts(text, units.text_center), text)
    assert units.spread == 1
    assert not units.center.any()
    scores = torch.rand(4, 2, 5)
    assert torch.equal(ScoreUnits().apply(scores), scores)


@pytest.mark.parametrize("shared", [0.1, 0.4, 0.7])
def test_fda_is_blind_to_a_component_that_all_tokens_share(shared: float) -> None:
    generator = torch.Generator().manual_seed(5)
    kinds = torch.randn(6, 9, generator=generator)
    noise = 0.7 * torch.randn(2, 40, 9, generator=generator)
    tokens = kinds[torch.randint(6, (2, 40), generator=generator)] + noise
    tokens[..., 8] = 0
    tokens = normalize(tokens, dim=-1)
    moved = (1 - shared) ** 0.5 * tokens + shared**0.5 * torch.eye(9)[8]
    logits = torch.randn(2, 40, 4, generator=generator)
    losses = [
        fda_loss(logits, each, calibrate_fda(FDA, measure_token_units(each), 1.0, 0.0)).item()
        for each in (tokens, moved)
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    raw = [fda_loss(logits, each, distill_params().fda).item() for each in (tokens, moved)]
    assert abs(raw[1] - raw[0]) > 0.1 * abs(raw[0])


def test_fda_numbers_scale_with_the_logits() -> None:
    units = measure_token_units(torch.eye(4)[None])
    assert (units.mean, units.std) == pytest.approx((0.25, torch.eye(4).std().item()))
    own = calibrate_fda(FDA, units, spread=0.02, disagreement=0.2)
    assert own.temperature == pytest.approx(0.83 * 0.02)
    assert own.offset == pytest.approx(0.25 + 0.85 * units.std)
    assert own.positive == own.negative == pytest.approx(1.5 / units.std)


@pytest.mark.parametrize(
    ("disagreement", "factor"), [(0.0, 0.0), (0.02, 0.5), (0.04, 1.0), (0.2, 5.0), (0.9, 10.0)]
)
def test_fda_weighs_more_where_views_disagree(disagreement: float, factor: float) -> None:
    units = measure_token_units(torch.eye(4)[None])
    given = FDA.model_copy(update={"disagreement": 0.04, "negative": 0.3})
    own = calibrate_fda(given, units, 1.0, disagreement)
    assert own.positive == pytest.approx(factor * 1.5 / units.std)
    assert own.negative == pytest.approx(factor * 0.3 / units.std)
