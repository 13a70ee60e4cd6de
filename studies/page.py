"""The results as a page to read: what was measured, tables by group, every scene."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ovs3d.files import atomic_path
from studies.fields import FieldScores
from studies.results import Run, Summary
from studies.rows import ROWS
from studies.variants import FULL

_SECTIONS = {
    "baselines": (
        "Baselines",
        "All of them get the same windows, tokens, cameras and fields as the method, and where "
        "they train, as many iterations of as many rays. `clip_2d` sees the photo that it labels; "
        "`semantic` trains on the true label maps of all training views, as no other row does.",
    ),
    "ablations": (
        "Ablations",
        "Each row changes the method in one place. Loss is mIoU below the whole method.",
    ),
    "words": (
        "Other words",
        "Labels by other words against the same masks (the paper's Table 5; synonyms are those of "
        "the vocabulary that the small CLIP learned), and two labels too many.",
    ),
    "statistics": (
        "Other statistics of the encoders",
        "The method on the same knowledge in vectors that lie differently in space; no parameter "
        "is changed. Loss is mIoU below the method on the encoders as they are.",
    ),
    "oracles": (
        "Which part is at fault",
        "The whole method with one of its inputs replaced by the truth.",
    ),
    "precision": (
        "Precision of a GPU",
        "Distillation and rendering with matrix products as tensor cores would have them, computed "
        "on a CPU; the field is the same.",
    ),
}
"""Group -> title, and what has to be known to read the table."""


def write_page(
    file: Path, run: Run, summaries: Mapping[str, Summary], fields: Mapping[str, FieldScores]
) -> None:
    """Write the page, atomically."""
    parts = [_head(run, summaries), _method(summaries)]
    parts += [_section(group, summaries) for group in _SECTIONS]
    parts += [_scenes(summaries), _fields(fields)]
    with atomic_path(file) as temporary:
        temporary.write_text("\n\n".join(part for part in parts if part) + "\n")


def _head(run: Run, summaries: Mapping[str, Summary]) -> str:
    scenes = len(next(iter(summaries.values())).scores) if summaries else 0
    return f"""# Results

mIoU in percent, mean over {scenes} scenes on their {run.views} views, which no training sees; ±: \
standard deviation over seeds ({", ".join(map(str, run.seeds))}) of the mean over scenes. A seed \
draws the field, the distillation and what a row adds; poses and features are shared by all. \
Preset `{run.preset}`, commit `{run.commit}`:

    {run.command}"""


def _method(summaries: Mapping[str, Summary]) -> str:
    full = summaries.get(FULL.name)
    if full is None:
        return ""
    scene, worst = full.worst
    return (
        f"The method reaches **{_percent(full.mean)} ± {_percent(full.spread)}**; its worst scene "
        f"is {scene} with {_percent(worst)}."
    )


def _section(group: str, summaries: Mapping[str, Summary]) -> str:
    rows = [name for name in summaries if ROWS[name].group == group]
    if not rows:
        return ""
    title, text = _SECTIONS[group]
    full = summaries.get(FULL.name)
    names = [*([FULL.name] if full else []), *rows]
    head = ("row", "", "mIoU", "loss", "worst scene", "CPU seconds a scene")
    body = []
    for name in names:
        each = summaries[name]
        scene, worst = each.worst
        body.append(
            (
                f"`{name}`",
                ROWS[name].text,
                f"{_percent(each.mean)} ± {_percent(each.spread)}",
                _percent(full.mean - each.mean) if full and name != FULL.name else "",
                f"{_percent(worst)} ({scene})",
                f"{each.seconds:.0f}",
            )
        )
    return f"## {title}\n\n{text}\n\n{table(head, body, numbers=2)}"


def _scenes(summaries: Mapping[str, Summary]) -> str:
    if not summaries:
        return ""
    scenes = list(next(iter(summaries.values())).scores)
    body = [
        (f"`{name}`", *(_percent(each.per_scene[scene]) for scene in scenes))
        for name, each in summaries.items()
    ]
    return "## Every scene\n\nMean over seeds.\n\n" + table(("row", *scenes), body, numbers=1)


def _fields(fields: Mapping[str, FieldScores]) -> str:
    if not fields:
        return ""
    scores = [each.to_json() for each in fields.values()]
    body = [
        ("PSNR", *(f"{each['psnr']:.1f}" for each in scores)),
        ("SSIM", *(f"{each['ssim']:.3f}" for each in scores)),
    ]
    text = (
        "Held-out views of the fields as stage reconstruct scores them: validation views, or test\n"
    )
    text += "views where there are no others. PSNR in dB; mean over seeds."
    return f"## Fields\n\n{text}\n\n" + table(("", *fields), body, numbers=1)


def table(head: Sequence[str], body: Sequence[Sequence[str]], numbers: int) -> str:
    """Return a Markdown table; columns from number `numbers` on are aligned to the right."""
    rule = ["---" if column < numbers else "--:" for column in range(len(head))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *body))


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
