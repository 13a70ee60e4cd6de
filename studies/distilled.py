"""Rows that run the method itself: stage distill on given inputs, and its label maps."""

from collections.abc import Callable

from ovs3d.distill.inputs import DistillInputs
from ovs3d.distill.model import load_segmentation
from stages import distill
from studies.case import Case, LabelMaps

STAGES = ("distill", "evaluate")
"""Whose code the rows depend on."""


def label_maps(case: Case) -> LabelMaps:
    """Distil what the stages before made, and label the views."""
    return distil(case, case.inputs)


def changed(change: Callable[[Case], DistillInputs], case: Case) -> LabelMaps:
    """Distil other inputs than the stages before made, and label the views."""
    return distil(case, change(case))


def distil(case: Case, inputs: DistillInputs) -> LabelMaps:
    """Run stage distill on inputs, and label the views."""
    distill.train(inputs, case.arguments, case.params)
    return case.segment(load_segmentation(case.out / "segmentation.safetensors", case.device))
