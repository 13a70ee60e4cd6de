"""Building blocks of figures: titled panels, rows, stacks, legends and scale bars, with Pillow."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ovs3d.evaluation.palette import viridis
from ovs3d.files import atomic_path

Color = tuple[int, int, int]

_TEXT_SIZE = 14
MARGIN = 8
_INK: Color = (20, 20, 20)
_PAPER: Color = (255, 255, 255)

_LINE_HEIGHT = _TEXT_SIZE + MARGIN
_MIN_PANEL, _MAX_PANEL = 240, 640
"""Width of a picture in a figure, in pixels: large enough to read, small enough to share."""
_NAME_WIDTH = _MIN_PANEL * 3 // 4
"""Pixels of a panel's title that a label has at least."""
_NO_CHARACTER = "\U0010ffff"
"""Which no font has."""


@cache
def _font() -> ImageFont.FreeTypeFont:
    """Return the font that matplotlib brings, so that figures look alike on all machines."""
    import matplotlib  # takes a while; what only saves pictures is spared it

    file = Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")
    return ImageFont.truetype(file, _TEXT_SIZE, layout_engine=ImageFont.Layout.BASIC)


def distinct(labels: Sequence[str]) -> list[str]:
    """Return labels as figures write them, so that no two look alike.

    A label that has letters the font lacks, which are drawn as empty boxes, or that cannot be told
    from another within a title, gets its number before it, counted from 0.
    """
    drawn = [text_line(label, _NAME_WIDTH).tobytes() for label in labels]
    return [
        f"{index} {label}" if drawn.count(look) > 1 or _lacks_letters(label) else label
        for index, (label, look) in enumerate(zip(labels, drawn, strict=True))
    ]


def _lacks_letters(text: str) -> bool:
    missing = text_line(_NO_CHARACTER, _LINE_HEIGHT).tobytes()
    return any(text_line(letter, _LINE_HEIGHT).tobytes() == missing for letter in text)


def text_width(text: str) -> int:
    """Return the width of a line of text in pixels."""
    return round(_font().getlength(text))


def text_line(text: str, width: int) -> Image.Image:
    """Draw one line of text on a strip of `width` pixels, cut short with dots if it is longer."""
    while text_width(text) > width and len(text) > 3:
        text = text[:-4] + "..."
    strip = Image.new("RGB", (width, _LINE_HEIGHT), _PAPER)
    ImageDraw.Draw(strip).text((0, MARGIN // 4), text, fill=_INK, font=_font())
    return strip


def panel(picture: NDArray[np.uint8], title: str) -> Image.Image:
    """Put a title over a picture [h, w, 3], brought to a readable size by whole factors."""
    width = picture.shape[1]
    if width < _MIN_PANEL:
        factor = -(-_MIN_PANEL // width)
        picture = picture.repeat(factor, axis=0).repeat(factor, axis=1)
    elif width > _MAX_PANEL:
        step = -(-width // _MAX_PANEL)
        picture = picture[step // 2 :: step, step // 2 :: step]
    image = Image.fromarray(np.ascontiguousarray(picture))
    return stack([text_line(title, image.width), image], gap=0)


def row(images: Sequence[Image.Image], gap: int = MARGIN) -> Image.Image:
    """Set images side by side, aligned at their tops."""
    width = sum(image.width for image in images) + gap * (len(images) - 1)
    canvas = Image.new("RGB", (width, max(image.height for image in images)), _PAPER)
    left = 0
    for image in images:
        canvas.paste(image, (left, 0))
        left += image.width + gap
    return canvas


def stack(images: Sequence[Image.Image], gap: int = MARGIN) -> Image.Image:
    """Set images one below another, aligned at their left."""
    height = sum(image.height for image in images) + gap * (len(images) - 1)
    canvas = Image.new("RGB", (max(image.width for image in images), height), _PAPER)
    top = 0
    for image in images:
        canvas.paste(image, (0, top))
        top += image.height + gap
    return canvas


def framed(image: Image.Image) -> Image.Image:
    """Put a margin around a finished figure."""
    canvas = Image.new("RGB", (image.width + 2 * MARGIN, image.height + 2 * MARGIN), _PAPER)
    canvas.paste(image, (MARGIN, MARGIN))
    return canvas


def legend(entries: Sequence[tuple[str, Color]], width: int) -> Image.Image:
    """Draw names beside squares of their colours, in as many lines as `width` pixels take."""
    places = []
    left, line = 0, 0
    for name, _ in entries:
        needed = _TEXT_SIZE + MARGIN + text_width(name)
        if left and left + needed > width:
            left, line = 0, line + 1
        places.append((left, line * _LINE_HEIGHT))
        left += needed + 2 * MARGIN
    canvas = Image.new("RGB", (width, (line + 1) * _LINE_HEIGHT), _PAPER)
    draw = ImageDraw.Draw(canvas)
    for (name, color), (x, y) in zip(entries, places, strict=True):
        box = (x, y + MARGIN // 2, x + _TEXT_SIZE - 1, y + MARGIN // 2 + _TEXT_SIZE - 1)
        draw.rectangle(box, fill=color, outline=_INK)
        draw.text((x + _TEXT_SIZE + MARGIN // 2, y + MARGIN // 4), name, fill=_INK, font=_font())
    return canvas


def scale_bar(low: float, high: float, width: int) -> Image.Image:
    """Draw the viridis scale between two numbers."""
    ends = [f"{low:.3g}", f"{high:.3g}"]
    length = max(16, min(width, 320) - text_width("".join(ends)) - 2 * MARGIN)
    colors = viridis(np.linspace(0.0, 1.0, length)[None].repeat(_TEXT_SIZE, axis=0))
    parts = [text_line(end, text_width(end) + 1) for end in ends]
    return row([parts[0], Image.fromarray(colors), parts[1]])


def save_png(image: Image.Image, path: Path) -> None:
    """Write a PNG, atomically and without anything that differs between runs."""
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG", optimize=False)
