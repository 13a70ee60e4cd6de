"""Pieces of a web page that needs nothing but itself: pictures, tables, curves, sliders."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from PIL import Image

_QUALITY = 82
_WIDTH, _HEIGHT, _PAD = 420, 180, 48
_CURVES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#333333")
"""Okabe and Ito 2008."""


def picture(image: Image.Image, text: str, width: int) -> str:
    """Embed a picture, shrunk to `width` pixels if it is wider; `text` is its alternative."""
    if image.width > width:
        image = image.resize((width, round(image.height * width / image.width)))
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, format="WEBP", quality=_QUALITY, method=4)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    size = f'width="{image.width}" height="{image.height}"'
    return f'<img {size} alt="{escape(text)}" src="data:image/webp;base64,{data}">'


def slider(below: str, above: str, names: tuple[str, str]) -> str:
    """Lay one picture over another; a slider says how much of the upper one shows."""
    first, second = (escape(name) for name in names)
    label = f"{first} or {second}"
    return (
        f'<div class="compare">{below}<div class="above">{above}</div>'
        f'<input type="range" min="0" max="100" value="50" aria-label="{label}">'
        f"<p><span>{first}</span><span>{second}</span></p></div>"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Lay out cells of text."""
    lines = ["<tr>" + "".join(f"<th>{escape(name)}</th>" for name in head) + "</tr>"]
    for row in rows:
        lines.append("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>")
    return f"<table>{''.join(lines)}</table>"


def figure(content: str, caption: str) -> str:
    """Put a caption below something."""
    return f"<figure>{content}<figcaption>{escape(caption)}</figcaption></figure>"


def curves(title: str, x: Sequence[float], lines: Mapping[str, Sequence[float]]) -> str:
    """Draw curves over steps as SVG.

    Args:
        title: of the chart.
        x: steps, increasing.
        lines: name -> value at each step.
    """
    values = [value for line in lines.values() for value in line]
    low, high = min(values, default=0.0), max(values, default=1.0)
    span, first, last = (high - low) or 1.0, x[0] if x else 0, x[-1] if x else 1
    parts = []
    for index, (name, line) in enumerate(lines.items()):
        color = _CURVES[index % len(_CURVES)]
        points = " ".join(
            f"{_PAD + (at - first) / ((last - first) or 1) * (_WIDTH - 2 * _PAD):.1f},"
            f"{_HEIGHT - _PAD - (value - low) / span * (_HEIGHT - 2 * _PAD):.1f}"
            for at, value in zip(x, line, strict=True)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}"/>')
        place = f'x="{_PAD + 70 * index}" y="{_HEIGHT - 6}" fill="{color}"'
        parts.append(f"<text {place}>{escape(name)}</text>")
    for y, value in ((_PAD, high), (_HEIGHT - _PAD, low)):
        parts.append(f'<text x="2" y="{y}">{value:.3g}</text>')
    for left, step in ((_PAD, first), (_WIDTH - _PAD, last)):
        parts.append(f'<text x="{left}" y="{_HEIGHT - 20}">{step:g}</text>')
    frame = f'<path d="M{_PAD} {_PAD}V{_HEIGHT - _PAD}H{_WIDTH - _PAD}" fill="none" stroke="#999"/>'
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    return (
        f'<svg {size} role="img"><title>{escape(title)}</title>'
        f'<text x="{_PAD}" y="18">{escape(title)}</text>{frame}{"".join(parts)}</svg>'
    )
