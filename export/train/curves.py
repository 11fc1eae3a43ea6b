"""The curves of a training run as one SVG picture: a small plot for each figure in `log.jsonl`, over the steps."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT, _MARGIN, _COLUMNS = 320, 180, 36, 3
_NOT_PLOTTED = ("step",)

Points = Sequence[tuple[float, float]]


def draw_curves(log: Path, out: Path) -> None:
    """Draw every figure of the records in `log` that has at least two values."""
    records = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    names = dict.fromkeys(name for record in records for name in record if name not in _NOT_PLOTTED)
    curves = {}
    for name in names:
        points = [(r["step"], r[name]) for r in records if name in r and not math.isnan(r[name])]
        if len(points) > 1:
            curves[name] = points
    rows = -(-len(curves) // _COLUMNS)
    width, height = _COLUMNS * _WIDTH, rows * _HEIGHT
    plots = "".join(
        f'<g transform="translate({i % _COLUMNS * _WIDTH} {i // _COLUMNS * _HEIGHT})">{_plot(name, points)}</g>'
        for i, (name, points) in enumerate(curves.items())
    )
    out.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"'
        f' font-size="11" fill="#444"><rect width="{width}" height="{height}" fill="#fff"/>{plots}</svg>\n',
        encoding="utf-8",
    )


def _plot(name: str, points: Points) -> str:
    xs, ys = zip(*points, strict=True)
    low, high = min(ys), max(ys)
    spread = high - low or 1.0
    inner_width, inner_height = _WIDTH - 2 * _MARGIN, _HEIGHT - 2 * _MARGIN

    def place(x: float, y: float) -> str:
        across = _MARGIN + inner_width * (x - xs[0]) / (xs[-1] - xs[0] or 1)
        return f"{across:.1f},{_MARGIN + inner_height * (high - y) / spread:.1f}"

    line = " ".join(place(x, y) for x, y in points)
    base = _MARGIN + inner_height
    return (
        f'<text x="{_MARGIN}" y="{_MARGIN - 14}" font-weight="bold">{escape(name.replace("_", " "))}</text>'
        f'<path d="M{_MARGIN} {_MARGIN}V{base}H{_MARGIN + inner_width}" fill="none" stroke="#bbb"/>'
        f'<polyline points="{line}" fill="none" stroke="#1a66b3" stroke-width="1.5"/>'
        f'<text x="{_MARGIN - 4}" y="{_MARGIN + 4}" text-anchor="end">{high:.3g}</text>'
        f'<text x="{_MARGIN - 4}" y="{base}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{_MARGIN + inner_width}" y="{base + 14}" text-anchor="end">step {xs[-1]:.0f}</text>'
    )
