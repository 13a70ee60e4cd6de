"""A text tower in closed form: the mean of token vectors, fitted by ridge regression.

It is a transformer of open_clip with one block whose attention weights all tokens alike, so that
published loaders run it. Being a bag of words, it knows no order of words.
"""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import LinearOperator, cg
from torch import Tensor

from tools.real_encoders.phrases import Phrase

CONTEXT = 32
VOCABULARY = 49408
WIDTH = 256
_SILENT = 20.0
"""Weight in the fit of the plain words alone, so that black is not the black bear's."""
_CONSTANT = 16.0
"""In the last channel of every token: keeps layer norm from changing the lengths of the others."""
_RIDGE = 0.05
_ROUNDS = 300
_COLOURS = ("red", "blue", "green", "yellow", "white", "black", "brown", "grey", "pink", "orange")
_KINDS = ("old", "small", "large", "striped", "round", "little")
_COMMON = (*_COLOURS, *_KINDS)
_ADJECTIVES, _PLAIN_ONES = 2, 3
"""Words put before each phrase, of all and of these few; they should not change what it means."""


def fit_tokens(
    phrases: Sequence[Phrase], adjectives: Sequence[str], seed: int
) -> tuple[NDArray[np.int64], Tensor, Tensor]:
    """Fit a vector to every token such that a phrase's direction is the sum of its tokens'.

    Args:
        phrases: with directions [D].
        adjectives: words that should say nothing.
        seed: of which adjective goes before which phrase.

    Returns:
        Indices of the tokens that occur, their vectors [tokens, WIDTH - 1], and the orthonormal
        basis [WIDTH - 1, D] of what the vectors span.
    """
    weights = torch.tensor([phrase.weight for phrase in phrases])
    targets = torch.stack([phrase.direction for phrase in phrases])
    basis = torch.linalg.svd(targets * weights[:, None].sqrt(), full_matrices=False)[2][: WIDTH - 1]
    # A last row of zeros: what words mean that say nothing.
    coordinates = np.pad((targets @ basis.T).double().numpy(), ((0, 1), (0, 0)))
    rows = list(_spoken(phrases, adjectives, random.Random(seed)))
    tokenizer = open_clip.SimpleTokenizer(context_length=CONTEXT)
    tokens = [tokenizer.encode(text)[: CONTEXT - 2] for text, _, _ in rows]
    lengths = np.array(list(map(len, tokens)))
    flat = np.concatenate([np.array(each, dtype=np.int64) for each in tokens])
    used, columns = np.unique(flat, return_inverse=True)
    shape = (len(rows), len(used))
    places = (np.repeat(np.arange(len(rows)), lengths), columns)
    counts = csr_matrix((np.ones(len(flat)), places), shape)
    own = np.array([weight for _, _, weight in rows])
    vectors = _ridge(counts, own, coordinates[[number for _, number, _ in rows]])
    return used, torch.from_numpy(vectors).float(), basis


def _spoken(
    phrases: Sequence[Phrase], adjectives: Sequence[str], chance: random.Random
) -> list[tuple[str, int, float]]:
    """Return texts as people write phrases, with the phrase's number and a weight."""
    rows = [(word, len(phrases), _SILENT) for word in _COMMON]
    for number, phrase in enumerate(phrases):
        rows.append((phrase.text, number, phrase.weight))
        if phrase.visible:
            texts = [f"a {phrase.text}", f"the {phrase.text}", f"{phrase.text}s"]
            texts += [f"a photo of a {phrase.text}"]
            words = [*chance.sample(adjectives, _ADJECTIVES), *chance.sample(_COMMON, _PLAIN_ONES)]
            texts += [f"{word} {phrase.text}" for word in words]
            rows += [(text, number, phrase.weight / 4) for text in texts]
    return rows


def _ridge(
    counts: csr_matrix, weights: NDArray[np.float64], targets: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Solve min |W^(1/2) (A X - Y)|^2 + ridge |X|^2 for X [tokens, K]."""
    weighted = counts.T.multiply(weights).tocsr()
    shape = (counts.shape[1], targets.shape[1])
    size = shape[0] * shape[1]

    def normal(flat: NDArray[np.float64]) -> NDArray[np.float64]:
        vectors = flat.reshape(shape)
        result: NDArray[np.float64] = weighted @ (counts @ vectors) + _RIDGE * vectors
        return result.ravel()

    operator = LinearOperator((size, size), matvec=normal, dtype=np.float64)
    solution, _ = cg(operator, (weighted @ targets).ravel(), rtol=1e-5, maxiter=_ROUNDS)
    solved: NDArray[np.float64] = solution.reshape(shape)
    return solved


@torch.no_grad()
def fill_text_tower(text: Any, used: NDArray[np.int64], vectors: Tensor, basis: Tensor) -> None:
    """Write the fit into an open_clip `TextTransformer` of one block.

    With queries and keys of zero, attention gives the mean of the values, which are the tokens;
    the last token adds nothing of its own.
    """
    for parameter in text.parameters():
        parameter.zero_()
    [block] = text.transformer.resblocks
    text.token_embedding.weight[:, -1] = _CONSTANT
    text.token_embedding.weight[torch.from_numpy(used), :-1] = vectors
    mean = _CONSTANT / WIDTH
    std = (_CONSTANT**2 / WIDTH - mean**2 + 1e-5) ** 0.5
    for norm in (block.ln_1, text.ln_final):
        norm.weight[:-1] = std
        norm.bias[:-1] = mean
    block.ln_2.weight.fill_(1)
    block.attn.in_proj_weight[2 * WIDTH :] = torch.eye(WIDTH)
    block.attn.out_proj.weight.copy_(torch.eye(WIDTH))
    text.text_projection[:-1] = basis
