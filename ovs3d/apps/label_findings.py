"""What can be wrong with the labels of a scene and the phrases that stand for them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ovs3d.apps.findings import Findings, mistake, warning
from ovs3d.features.prompts import make_prompts, too_long
from ovs3d.params import Preset
from ovs3d.photos.labels import LABELS_FILE, Label, read_labels


def check_labels(segmentations: Path, params: Preset) -> Findings:
    """Look at the labels, and whether the text tower takes all their phrases."""
    classes = segmentations / LABELS_FILE
    labels = read_labels(classes)
    if len(labels) == 1:
        yield warning(f"{classes}: one label, so everything gets it; name what is around it too")
    owners: dict[str, str] = {}
    for label in labels:
        for phrase in label.phrases:
            owner = owners.setdefault(phrase.casefold(), label.name)
            if owner != label.name:
                yield warning(
                    f"{classes}: the phrase '{phrase}' stands for '{owner}' and for "
                    f"'{label.name}', which makes them hard to tell apart; keep one"
                )
    for problem in too_long(labels, params.distill.templates, _tokenizer(params)):
        yield mistake(problem)


def check_prompts(labels: Sequence[Label], params: Preset) -> None:
    """Check that the text tower reads every phrase whole, in every template.

    Raises:
        ParamsError: a template has no place for the phrase.
        SceneError: it does not.
        WeightsError: its tokenizer is not at hand.
    """
    make_prompts(labels, params.distill.templates, _tokenizer(params))


def _tokenizer(params: Preset) -> Any:
    from ovs3d.features.clip_models import make_tokenizer  # takes seconds

    return make_tokenizer(params.clip_features.model)
