"""A language volume: surface points that any words can be asked of, without training or labels."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from numpy.typing import NDArray
from torch import Tensor

from ovs3d.errors import StoreError
from ovs3d.features.clip import ClipEncoder, load_clip
from ovs3d.language.codes import Codes
from ovs3d.language.lift import Lifted, LiftInputs
from ovs3d.language.store import NAME, read_arrays, write_arrays
from ovs3d.language.surface import find_voxels
from ovs3d.params import Preset
from ovs3d.scene.labels import named
from ovs3d.scene.space import Grid

CANONICAL = ("object", "things", "stuff", "texture")
"""LERF's words for anything at all (Sec. 3.5)."""
_SHARPNESS = 10.0
"""Inverse temperature of the softmax over a text and a negative (LERF's code)."""
_PEAK = 0.002
"""So small a share of the points has relevancies above what counts as the peak."""


@dataclass(frozen=True, eq=False)
class Finding:
    """What one text found.

    Attributes:
        text: that was asked for.
        found: whether anything in the scene fits it.
        score: how well the best place fits, in [0, 1].
        threshold: what the score must reach to count as found; calibrated over the scene.
        peak: float32 [3], the best place, unit frame.
        mask: bool [N], the points that fit; all False if nothing was found.
        relevancy: float32 [N] in [0, 1].
    """

    text: str
    found: bool
    score: float
    threshold: float
    peak: Tensor
    mask: Tensor
    relevancy: Tensor


class LanguageVolume:
    """Surface points of a field with language features, see `data/lift/<scene>`.

    Attributes:
        points: float32 [N, 3], unit frame of the field (see `ovs3d.scene.cameras`).
        normals: float32 [N, 3], unit vectors towards the cameras.
        colours: uint8 [N, 3], means of the photos.
        templates: prompts of queries, `{}` stands for the text.
    """

    def __init__(
        self,
        arrays: Mapping[str, NDArray[Any]],
        attributes: Mapping[str, Any],
        encoder: ClipEncoder | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        """Take what `open` read."""
        self._device = torch.device(device)
        tensors = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
        self.points, self.normals = tensors["points"], tensors["normals"].float()
        self.colours = tensors["colours"]
        self.templates: tuple[str, ...] = tuple(attributes["templates"])
        self._codes = Codes(tensors["codes"], tensors["steps"], tensors["basis"])
        self._voxels = tensors["voxels"].long()
        x, y, z = attributes["cells"]
        self._cells: Grid = (x, y, z)
        self._model, self._weights, self._encoder_digest = attributes["clip"]
        self._given_encoder = encoder

    @classmethod
    def open(
        cls,
        folder: Path,
        encoder: ClipEncoder | None = None,
        device: torch.device | str = "cpu",
    ) -> Self:
        """Open what stage lift wrote.

        Args:
            folder: `data/lift/<scene>`.
            encoder: the CLIP model that made the features; if not given, it is loaded by the
                parameters of the time when first a text is asked for.
            device: where points and features go.

        Raises:
            StoreError: there is none, or it is damaged.
        """
        return cls(*read_arrays(folder / NAME), encoder, device)

    def __len__(self) -> int:
        return len(self.points)

    @cached_property
    def encoder(self) -> ClipEncoder:
        """The CLIP model of the features.

        Raises:
            WeightsError: its weights are not to be found.
            StoreError: it is another one than the features were made by.
        """
        encoder = self._given_encoder or load_clip(self._model, self._weights, self._device)
        if encoder.digest != self._encoder_digest:
            raise StoreError(
                f"{self._weights}: not the CLIP model that the language volume was made by; run "
                "stage lift again"
            )
        return encoder

    def cosines(self, texts: Sequence[str]) -> Tensor:
        """Return the cosines of texts and features at every scale, float32 [T, N_s, N].

        Raises:
            SceneError: a text is too long for the text tower.
        """
        text = self.encoder.encode_text([*map(named, texts)], self.templates)
        return self._codes.cosines(text.to(self._device))

    def relevancy(self, texts: Sequence[str], negatives: Sequence[str] = ()) -> Tensor:
        """Tell how much rather than anything else each text fits each point (LERF, Sec. 3.5).

        Args:
            texts: T of them.
            negatives: what the texts are not, beside LERF's canonical words.

        Returns:
            float32 [T, N] in [0, 1]: the least share of a text in the softmax over itself and one
            negative, at the scale at which the text's peak is highest; above 0.5 it fits better
            than all negatives.

        Raises:
            SceneError: a text is too long for the text tower.
        """
        against = self.cosines([*CANONICAL, *negatives]).amax(0)
        shares = torch.sigmoid(_SHARPNESS * (self.cosines(texts) - against))
        best = shares.topk(self._peak_points, dim=2).values[:, :, -1].argmax(1)
        return shares[torch.arange(len(texts)), best]

    def find(self, texts: Sequence[str], negatives: Sequence[str] = ()) -> list[Finding]:
        """Look for texts: whether they are in the scene, where, and which points are theirs.

        Args:
            texts: T of them.
            negatives: what they are not.

        Raises:
            SceneError: a text is too long for the text tower.
        """
        findings = []
        for text, relevancy in zip(texts, self.relevancy(texts, negatives), strict=True):
            score = float(relevancy.topk(self._peak_points).values[-1])
            threshold = 0.5
            mask = relevancy >= threshold
            peak = self.points[relevancy.argmax()]
            found = score >= threshold
            findings.append(Finding(text, found, score, threshold, peak, mask & found, relevancy))
        return findings

    @property
    def _peak_points(self) -> int:
        return max(1, math.ceil(len(self) * _PEAK))

    def rows(self, grid_points: Tensor) -> Tensor:
        """Return which point stands for the surface at places in the field.

        Args:
            grid_points: [M, 3], grid coordinates of the field.

        Returns:
            int64 [M], -1 where there is no surface.
        """
        return find_voxels(self._voxels, grid_points, self._cells)


def save_volume(path: Path, lifted: Lifted, inputs: LiftInputs, params: Preset) -> None:
    """Write what `LanguageVolume.open` reads.

    Args:
        path: of the group.
        lifted: what it holds.
        inputs: what it was made of.
        params: by which it was made; queries take the CLIP model and the templates from them.
    """
    surface, codes, space = lifted.surface, lifted.codes, inputs.field.space
    clip = params.clip_features
    tensors = {
        "points": space.to_world(surface.grid_points),
        "normals": surface.normals.half(),
        "colours": surface.colours,
        "voxels": surface.voxels,
        "codes": codes.values,
        "steps": codes.steps,
        "basis": codes.basis,
    }
    write_arrays(
        path,
        {name: tensor.cpu().numpy() for name, tensor in tensors.items()},
        {
            "cells": surface.cells,
            "clip": [clip.model, clip.weights, inputs.clip.encoder_digest],
            "templates": params.lift.templates,
        },
    )
