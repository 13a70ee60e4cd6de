"""A language volume: surface points that any words can be asked of, without training or labels."""

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
from ovs3d.features.clip_params import ClipFeaturesParams
from ovs3d.language.codes import Codes
from ovs3d.language.lift import Lifted, LiftInputs
from ovs3d.language.params import LiftParams
from ovs3d.language.presence import FOUND, MASK, Calibration, calibrate, peak
from ovs3d.language.store import NAME, read_arrays, write_arrays
from ovs3d.language.surface import find_voxels
from ovs3d.language.words import clean, embed, read_nouns, strangeness
from ovs3d.space.space import Grid


@dataclass(frozen=True, eq=False)
class Finding:
    """What one text found.

    Attributes:
        text: that was asked for.
        found: whether it is in the scene.
        known: whether the CLIP model seems to know the words; what it does not is never found.
        score: relevancy of the best place, in [0, 1]; from `presence.FOUND` on it counts as found.
        peak: float32 [3], the best place, unit frame.
        mask: bool [N], the points that fit; all False if it is not found.
        relevancy: float32 [N], see `LanguageVolume.relevancy`.
    """

    text: str
    found: bool
    known: bool
    score: float
    peak: Tensor
    mask: Tensor
    relevancy: Tensor


class LanguageVolume:
    """Surface points of a field with language features, see `data/lift/<scene>`.

    Attributes:
        points: float32 [N, 3], unit frame of the field (see `ovs3d.space.cameras`).
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
        self._features = self._codes.means()
        self._voxels = tensors["voxels"].long()
        x, y, z = attributes["cells"]
        self._cells: Grid = (x, y, z)
        rival = tensors["rival"].float()
        self._calibration = Calibration(rival, attributes["ordinary"], attributes["rare"])
        self._strangest: float = attributes["strangest"]
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
            encoder: the CLIP model that made the features; if not given, the one that the scene's
                parameters named is loaded when a text is first asked for.
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

    def features(self) -> Tensor:
        """Return the features of all points and scales, float32 [N, N_s, D] unit vectors."""
        return self._codes.decode()

    def relevancy(self, texts: Sequence[str], negatives: Sequence[str] = ()) -> Tensor:
        """Tell how well each text fits each point, on the scale of the scene.

        The share of things absent from the scene that fit no place in it as well as the text fits
        this point, smoothed; at most 0.5 where a negative fits better.

        Args:
            texts: T of them.
            negatives: what none of the texts is.

        Returns:
            float32 [T, N] in [0, 1]; from `presence.MASK` on a point fits.

        Raises:
            QueryError: a text is empty, or longer than the text tower reads.
        """
        return self._relevancy([*map(clean, texts)], [*map(clean, negatives)])

    def find(self, texts: Sequence[str], negatives: Sequence[str] = ()) -> list[Finding]:
        """Look for texts: whether they are in the scene, where, and which points are theirs.

        Args:
            texts: T of them.
            negatives: what none of them is.

        Raises:
            QueryError: a text is empty, or longer than the text tower reads.
        """
        if not texts:
            return []
        texts = [*map(clean, texts)]
        relevancy = self._relevancy(texts, [*map(clean, negatives)])
        known = (strangeness(self.encoder, texts) <= self._strangest).tolist()
        scores = peak(relevancy).tolist()
        best = self.points[relevancy.argmax(1)]
        findings = []
        for row, text in enumerate(texts):
            found = known[row] and scores[row] >= FOUND
            mask = (relevancy[row] >= MASK) & found
            place = (text, found, known[row], scores[row], best[row])
            findings.append(Finding(*place, mask, relevancy[row]))
        return findings

    def rows(self, grid_points: Tensor) -> Tensor:
        """Return which point stands for the surface at places in the field.

        Args:
            grid_points: [M, 3], grid coordinates of the field.

        Returns:
            int64 [M], -1 where there is no surface.
        """
        return find_voxels(self._voxels, grid_points, self._cells)

    def _relevancy(self, texts: Sequence[str], negatives: Sequence[str]) -> Tensor:
        """Return the relevancy of clean texts."""
        return self._calibration.relevancy(self._cosines(texts), self._cosines(negatives))

    def _cosines(self, texts: Sequence[str]) -> Tensor:
        """Return the cosines [T, N] of texts and points, means over the scales."""
        if not texts:
            return self._features.new_zeros(0, len(self))
        text = embed(self.encoder, texts, self.templates).to(self._device)
        return (text @ self._codes.basis.T) @ self._features.T


def save_volume(
    path: Path,
    lifted: Lifted,
    inputs: LiftInputs,
    own: LiftParams,
    clip: ClipFeaturesParams,
    encoder: ClipEncoder,
) -> None:
    """Calibrate over the scene and write what `LanguageVolume.open` reads.

    Args:
        path: of the group.
        lifted: what it holds.
        inputs: what it was made of.
        own: section `lift`; queries take its templates.
        clip: section `clip_features`; queries take its model.
        encoder: that CLIP model.

    Raises:
        ParamsError: there are no nouns to calibrate by.
        QueryError: a noun is longer than the text tower reads.
    """
    surface, codes = lifted.surface, lifted.codes
    nouns = read_nouns(Path(own.nouns))
    text = embed(encoder, nouns, own.templates).to(codes.basis.device)
    calibration = calibrate(codes.means(), text @ codes.basis.T)
    tensors = {
        "points": inputs.field.space.to_world(surface.grid_points),
        "normals": surface.normals.half(),
        "colours": surface.colours,
        "voxels": surface.voxels,
        "codes": codes.values,
        "steps": codes.steps,
        "basis": codes.basis,
        "rival": calibration.rival.half(),
    }
    write_arrays(
        path,
        {name: tensor.cpu().numpy() for name, tensor in tensors.items()},
        {
            "cells": surface.cells,
            "clip": [clip.model, clip.weights, encoder.digest],
            "templates": own.templates,
            "ordinary": calibration.ordinary,
            "rare": calibration.rare,
            "strangest": float(strangeness(encoder, nouns).max()),
        },
    )
