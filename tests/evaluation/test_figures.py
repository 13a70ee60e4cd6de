"""Figures show what they claim to, at readable sizes."""

from pathlib import Path

import numpy as np
from PIL import Image

from ovs3d.evaluation import drawing, figures
from ovs3d.evaluation.palette import NO_LABEL_COLOR, WRONG_COLOR, label_colors
from ovs3d.photos.dataset import NO_LABEL

LABELS = ["green lawn", "red apple", "a label with a very long name that needs its own line"]
PHOTO = np.full((120, 160, 3), 200, np.uint8)


def _count(image: Image.Image, color: tuple[int, ...]) -> int:
    return int((np.asarray(image) == color).all(axis=-1).sum())


def test_comparison_marks_exactly_the_wrong_pixels() -> None:
    truth = np.zeros((120, 160), np.uint8)
    truth[:10] = NO_LABEL
    prediction = truth.copy()
    prediction[:20, :30] = 1
    figure = figures.comparison(PHOTO, truth, prediction, LABELS)
    # 160 pixels are doubled to be readable; a legend square is 12 x 12 inside its outline.
    assert _count(figure, WRONG_COLOR) == 4 * 10 * 30 + 12 * 12
    assert _count(figure, NO_LABEL_COLOR) == 4 * 10 * 160 + 12 * 12


def test_rendering_figure_shows_near_things_bright() -> None:
    depth = np.full((120, 160), 4.0, np.float32)
    depth[:, :60] = 1.0
    figure = np.asarray(figures.rendering_figure(PHOTO, PHOTO // 2, depth)).astype(int)
    # Three panels of 160 pixels, doubled to be readable; titles are above.
    rows = figure[-200]
    left, middle, right = rows[:320], rows[-648:-328], rows[-320:]
    assert (left == 200).all()
    assert (middle == 100).all()
    assert (right[:120].sum(axis=-1) > right[120:].sum(axis=-1).max()).all()


def test_comparison_names_what_is_black() -> None:
    full = np.zeros((120, 160), np.uint8)
    partial = full.copy()
    partial[:10] = NO_LABEL
    for truth, prediction, expected in (
        (full, full, []),
        (full, partial, ["unlabelled"]),
        (None, partial, ["unlabelled"]),
        (partial, full, ["no mask"]),
        (partial, partial, ["no mask or unlabelled"]),
    ):
        figure = figures.comparison(PHOTO, truth, prediction, LABELS)
        entries = figures.label_entries(LABELS)
        entries += [("wrong", WRONG_COLOR)] if truth is not None else []
        entries += [(name, NO_LABEL_COLOR) for name in expected]
        right, bottom = figure.width - drawing.MARGIN, figure.height - drawing.MARGIN
        legend = drawing.legend(entries, right - drawing.MARGIN)
        shown = figure.crop((drawing.MARGIN, bottom - legend.height, right, bottom))
        assert shown.tobytes() == legend.tobytes()
        # Unlabelled pixels are wrong where a mask covers.
        wrong = 4 * 10 * 160 if truth is full and prediction is partial else 0
        legend_square = 0 if truth is None else 12 * 12
        assert _count(figure, WRONG_COLOR) == wrong + legend_square


def test_comparison_without_masks_shows_no_errors() -> None:
    figure = figures.comparison(PHOTO, None, np.zeros((120, 160), np.uint8), LABELS)
    assert _count(figure, WRONG_COLOR) == 0
    assert figure.width < 700


def test_selection_figure_has_a_panel_per_scale() -> None:
    selection = np.zeros((120, 160, 3), np.float32)
    selection[..., 1] = 1.0
    figure = figures.selection_figure(PHOTO, selection, ["a", "b", "c"])
    assert figure.width == 5 * 320 + 4 * drawing.MARGIN + 2 * drawing.MARGIN
    # Viridis: dark where a scale has no share, bright where it has all.
    assert _count(figure, (68, 1, 84)) >= 2 * 320 * 240
    assert _count(figure, (253, 231, 37)) >= 320 * 240


def test_scales_are_named_as_distill_selection_counts_them() -> None:
    assert figures.scale_names((5.0, 7.5)) == ["s/5 (0)", "s/7.5 (1)"]


def test_logits_figure_shares_one_scale() -> None:
    logits = np.zeros((120, 160, 3), np.float32)
    logits[..., 2] = 0.5
    figure = figures.logits_figure(PHOTO, logits, LABELS)
    assert _count(figure, (253, 231, 37)) >= 320 * 240
    constant = figures.logits_figure(PHOTO, logits * 0, LABELS)
    assert _count(constant, (253, 231, 37)) < 320 * 240


def test_panel_thins_out_large_pictures() -> None:
    picture = np.zeros((300, 2000, 3), np.uint8)
    assert drawing.panel(picture, "large").width == 500


def test_text_line_is_cut_to_its_width() -> None:
    assert drawing.text_line("x" * 500, 100).width == 100
    assert drawing.text_width("x" * 500) > 100


def test_legend_wraps() -> None:
    entries = figures.label_entries(LABELS)
    assert drawing.legend(entries, 450).height == 2 * drawing.legend(entries, 2000).height
    colors = {color for _, color in entries}
    assert colors == {tuple(color) for color in label_colors(3).tolist()}


def test_save_png_writes_the_same_bytes_twice(tmp_path: Path) -> None:
    image = drawing.panel(PHOTO, "photo")
    for name in ("a.png", "b.png"):
        drawing.save_png(image, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
