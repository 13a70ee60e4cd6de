"""Encoders with other statistics: the same knowledge in vectors that lie differently in space.

The published encoders differ from the small ones in how their vectors are spread, not only in what
they know. Every change here leaves the knowledge alone, as far as directions that the vectors
hardly use allow: what is added to all vectors of a kind is orthogonal to the texts and all but
orthogonal to the windows or tokens.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ovs3d.device import make_generator
from ovs3d.distill.inputs import DistillInputs
from studies.case import Case
from studies.stores import rewrite_tokens, rewrite_windows

_MATCHED_COSINE = 0.25
"""Of a window and its best text, as with the published CLIP."""
_LABEL_RANGE = 0.03
"""Between a window's cosines to its best and its worst text, in nine windows of ten."""
_TEXT_COSINE = 0.8
_WINDOW_COSINE = 0.85
_NOISY_COSINE = 0.9
_LENGTH_SIGMA = 0.5
_LENGTH_FACTOR = 7.0
_QUIET_SHARE = 4
"""One in so many principal directions, those with the least variance, counts as hardly used."""
_SAMPLE = 20000
_CPU = torch.device("cpu")

Move = Callable[[Tensor, torch.Generator], Tensor]
"""Vectors [..., n, K] and a source of randomness -> other vectors."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Vectors to fit a change to: windows [N, D] and texts [C, D] of unit length, tokens [N, E]."""

    windows: Tensor
    text: Tensor
    tokens: Tensor


@dataclass(frozen=True, eq=False)
class Change:
    """What to do to windows, texts and tokens; None leaves them as they are."""

    windows: Move | None = None
    text: Tensor | None = None
    tokens: Move | None = None


Fit = Callable[[Sample, torch.Generator], Change]


def gap(sample: Sample, generator: torch.Generator) -> Change:
    """Move all windows by one vector and all texts by another: a modality gap."""
    first, second = _quiet_directions(sample.windows, sample.text, 2, generator)
    cosines = sample.windows @ sample.text.T
    spread = float((cosines.amax(1) - cosines.amin(1)).quantile(0.9))
    # Cosines of moved vectors are (w t + g g rho) / (1 + g g), rho between the two shifts.
    shrink = min(_LABEL_RANGE / spread, 0.99)
    squared = 1 / shrink - 1
    matched = float(cosines.amax(1).mean())
    rho = min(max((_MATCHED_COSINE / shrink - matched) / squared, -1), 1)
    other = rho * first + (1 - rho**2) ** 0.5 * second
    shift = squared**0.5
    return Change(
        windows=lambda vectors, _: normalize(vectors + shift * first, dim=-1),
        text=normalize(sample.text + shift * other, dim=-1),
    )


def text(sample: Sample, generator: torch.Generator) -> Change:
    """Add a shared component to the texts, so that their mean cosine is 0.8."""
    shared = _quiet_directions(sample.windows, sample.text, 1, generator)[0]
    return Change(text=normalize(sample.text + _shift(sample.text, _TEXT_COSINE) * shared, dim=-1))


def windows(sample: Sample, generator: torch.Generator) -> Change:
    """Add a shared component to the windows, so that their mean cosine is 0.85."""
    shared = _quiet_directions(sample.windows, sample.text, 1, generator)[0]
    shift = _shift(sample.windows, _WINDOW_COSINE)
    return Change(windows=lambda vectors, _: normalize(vectors + shift * shared, dim=-1))


def dino_shared(share: float, sample: Sample, generator: torch.Generator) -> Change:
    """Give a share of every token's squared length to a component that all tokens have."""
    shared = _quiet_directions(sample.tokens, None, 1, generator)[0]

    def move(tokens: Tensor, _: torch.Generator) -> Tensor:
        own: Tensor = normalize(tokens, dim=-1)
        return _lengths(tokens) * (math.sqrt(1 - share) * own + math.sqrt(share) * shared)

    return Change(tokens=move)


def dino_length(sample: Sample, generator: torch.Generator) -> Change:  # noqa: ARG001
    """Scale every token by a random factor, and all by 7."""

    def move(tokens: Tensor, draw: torch.Generator) -> Tensor:
        factors = torch.randn(*tokens.shape[:-1], 1, generator=draw) * _LENGTH_SIGMA
        return tokens * factors.exp() * _LENGTH_FACTOR

    return Change(tokens=move)


def noise(sample: Sample, generator: torch.Generator) -> Change:  # noqa: ARG001
    """Turn every window and token by the same angle into a random direction."""
    return Change(windows=_turn, tokens=_turn)


FITS: Mapping[str, tuple[str, Fit]] = {
    "gap": ("modality gap: cosines of 0.2 to 0.3, labels within 0.03", gap),
    "text": ("texts share a component: cosines of 0.7 to 0.9 among labels", text),
    "windows": ("windows share a component: mean cosine 0.85", windows),
    "dino_shared_0.1": ("tokens share 10 % of their squared length", partial(dino_shared, 0.1)),
    "dino_shared_0.4": ("tokens share 40 % of their squared length", partial(dino_shared, 0.4)),
    "dino_shared_0.7": ("tokens share 70 % of their squared length", partial(dino_shared, 0.7)),
    "dino_length": ("lengths of tokens random (lognormal, sigma 0.5), times 7", dino_length),
    "noise": ("noise on windows and tokens: cosine 0.9 to the clean ones", noise),
}
"""Name -> what it is and how to make it."""


def change_inputs(name: str, case: Case) -> DistillInputs:
    """Return the case's inputs after one of the changes in `FITS`."""
    inputs, seed = case.inputs, case.params.seed
    change = FITS[name][1](_sample(inputs), make_generator(seed, _CPU))

    def rewritten(move: Move) -> Callable[[int, Tensor], Tensor]:
        return lambda view, vectors: move(vectors, make_generator(seed * 100_000 + view, _CPU))

    if change.windows is not None:
        store = rewrite_windows(
            inputs.clip, case.out / "clip.zarr", [name, seed], rewritten(change.windows)
        )
        inputs = replace(inputs, clip=store)
    if change.tokens is not None:
        tokens = rewrite_tokens(
            inputs.dino, case.out / "dino.zarr", [name, seed], rewritten(change.tokens)
        )
        inputs = replace(inputs, dino=tokens)
    if change.text is not None:
        inputs = replace(inputs, text=change.text.to(inputs.text.device))
    return inputs


def _sample(inputs: DistillInputs) -> Sample:

    def thin(vectors: Tensor, views: tuple[int, ...]) -> Tensor:
        each = max(1, _SAMPLE // len(views))
        return vectors[:: max(1, len(vectors) // each)].float()

    own = inputs.token_views()
    tokens = [thin(inputs.dino.load([view], _CPU).flatten(0, 2), own) for view in own]
    own = inputs.pixel_views()
    windows = [thin(torch.from_numpy(inputs.clip.embeddings(view)), own) for view in own]
    return Sample(
        normalize(torch.cat(windows), dim=-1), inputs.text.float().cpu(), torch.cat(tokens)
    )


def _shift(unit: Tensor, target: float) -> float:
    """Return how much of an orthogonal unit vector gives unit vectors [N, D] a mean cosine."""
    count = len(unit)
    mean = float((unit.sum(0).square().sum() - count) / (count * (count - 1)))
    return math.sqrt(max(0.0, (target - mean) / (1 - target)))


def _quiet_directions(
    vectors: Tensor, text: Tensor | None, count: int, generator: torch.Generator
) -> Tensor:
    """Return random orthonormal directions [count, D] that vectors hardly use and texts not."""
    unit = normalize(vectors.double(), dim=-1)
    moment = unit.T @ unit / len(unit)
    if text is not None:
        # So heavy that every direction with little weight is orthogonal to them.
        moment += 1e6 * (text.double().T @ text.double())
    _, axes = torch.linalg.eigh(moment)
    quiet = axes[:, : max(count, len(axes) // _QUIET_SHARE)]
    mix = torch.randn(quiet.shape[1], count, generator=generator, dtype=torch.float64)
    basis: Tensor = torch.linalg.qr(quiet @ mix).Q
    return basis.T.float()


def _turn(vectors: Tensor, draw: torch.Generator) -> Tensor:
    unit = normalize(vectors, dim=-1)
    random = torch.randn(vectors.shape, generator=draw)
    across = normalize(random - (random * unit).sum(-1, keepdim=True) * unit, dim=-1)
    return _lengths(vectors) * (_NOISY_COSINE * unit + math.sqrt(1 - _NOISY_COSINE**2) * across)


def _lengths(vectors: Tensor) -> Tensor:
    lengths: Tensor = vectors.norm(dim=-1, keepdim=True)
    return lengths
