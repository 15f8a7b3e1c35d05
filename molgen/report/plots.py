"""Small plots as SVG text: overlaid distributions and scatter plots, without a plotting library.

Colours are the first of Okabe and Ito's palette, which people with colour blindness can tell apart (Okabe and Ito 2008).
"""

from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

import numpy as np

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
REAL = "#9a9a9a"
WIDTH, HEIGHT = 320, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 14, 10, 26, 34


@dataclass(frozen=True)
class Curve:
    """A distribution to draw.

    Args:
        label: for the legend.
        counts: of each bin.
        colour: of the line.
        filled: draw an area instead of a line.
    """

    label: str
    counts: np.ndarray
    colour: str
    filled: bool = False


def density_plot(title: str, centres: np.ndarray, curves: list[Curve], unit: str, note: str = "") -> str:
    """Overlaid distributions of one quantity, each with area one, cut to where 99.8 % of all values lie.

    Args:
        title: of the plot.
        centres: of the bins, equally spaced.
        curves: what to draw; those without counts are left out.
        unit: of the horizontal axis.
        note: in the upper right corner.
    """
    curves = [curve for curve in curves if curve.counts.sum() > 0]
    if not curves:
        return ""
    together = np.sum([curve.counts / curve.counts.sum() for curve in curves], axis=0)
    cumulative = np.cumsum(together) / together.sum()
    first, last = int(np.searchsorted(cumulative, 0.001)), int(np.searchsorted(cumulative, 0.999))
    margin = max(2, (last - first) // 12)
    first, last = max(0, first - margin), min(len(centres) - 1, last + margin)
    fewest = min(float(curve.counts.sum()) for curve in curves)
    wanted = min(100, max(20, int(6 * fewest ** (1 / 3))))  # as many bins as the smallest set can fill
    merge = max(1, (last - first + 1) // wanted)
    xs, rows = _merged(centres, [curve.counts for curve in curves], first, last, merge)
    width = xs[1] - xs[0] if len(xs) > 1 else 1.0
    densities = [row / (row.sum() * width) for row in rows]
    top = max(float(density.max()) for density in densities) * 1.06
    low, high = float(xs[0] - width / 2), float(xs[-1] + width / 2)
    parts = [_frame(title, note), _x_axis(low, high, unit)]
    for curve, density in zip(curves, densities, strict=True):
        points = []
        for x, y in zip(xs, density, strict=True):
            points += [(x - width / 2, y), (x + width / 2, y)]
        path = " ".join(f"{_x(x, low, high):.1f},{_y(y, 0, top):.1f}" for x, y in points)
        if curve.filled:
            ground = f"{_y(0, 0, top):.1f}"
            area = f"{_x(low, low, high):.1f},{ground} {path} {_x(high, low, high):.1f},{ground}"
            parts.append(f'<polygon points="{area}" fill="{curve.colour}" fill-opacity="0.45"/>')
        else:
            parts.append(f'<polyline points="{path}" fill="none" stroke="{curve.colour}" stroke-width="1.5"/>')
    return _svg(title, parts)


def scatter_plot(title: str, requested: np.ndarray, measured: np.ndarray, unit: str, note: str = "") -> str:
    """Measured against requested values with the line where both are equal; at most 2,000 points, drawn evenly."""
    known = np.flatnonzero(np.isfinite(requested) & np.isfinite(measured))
    if not len(known):
        return ""
    known = known[:: ceil(len(known) / 2000)]
    x, y = requested[known], measured[known]
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    pad = 0.05 * (high - low) or 1.0
    low, high = low - pad, high + pad
    corners = [f"{_x(end, low, high):.1f}" for end in (low, high)] + [f"{_y(end, low, high):.1f}" for end in (low, high)]
    parts = [_frame(title, note), _x_axis(low, high, f"requested, {unit}" if unit else "requested")]
    parts.append(f'<line x1="{corners[0]}" y1="{corners[2]}" x2="{corners[1]}" y2="{corners[3]}" stroke="{REAL}" stroke-dasharray="4 3"/>')
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        parts.append(f'<circle cx="{_x(a, low, high):.1f}" cy="{_y(b, low, high):.1f}" r="2" fill="{COLOURS[0]}" fill-opacity="0.45"/>')
    for tick in ticks(low, high, 4):
        level = _y(tick, low, high)
        parts.append(f'<line x1="{_LEFT}" y1="{level:.1f}" x2="{_LEFT + 4}" y2="{level:.1f}" stroke="currentColor" stroke-opacity="0.5"/>')
        parts.append(f'<text x="{_LEFT + 7}" y="{level + 3.5:.1f}" class="axis">{tick:.4g}</text>')
    parts.append(f'<text x="{WIDTH - _RIGHT}" y="{_TOP + 2}" class="axis" text-anchor="end">measured</text>')
    return _svg(title, parts)


def legend(curves: list[tuple[str, str, bool]]) -> str:
    """A line of HTML that names (label, colour, filled) curves."""
    items = []
    for label, colour, filled in curves:
        shape = f'<rect width="14" height="10" y="2" fill="{colour}" fill-opacity="0.45"/>' if filled else ""
        shape = shape or f'<line x1="0" y1="7" x2="14" y2="7" stroke="{colour}" stroke-width="2"/>'
        items.append(f'<span class="key"><svg width="16" height="14" aria-hidden="true">{shape}</svg>{escape(label)}</span>')
    return f'<p class="legend">{"".join(items)}</p>'


def ticks(low: float, high: float, number: int = 5) -> list[float]:
    """Round values between two ends, about `number` of them."""
    raw = (high - low) / number
    power = 10.0 ** floor(log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    return [step * k for k in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


def _merged(centres: np.ndarray, rows: list[np.ndarray], first: int, last: int, merge: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """The bins from first to last, `merge` of them in one."""
    length = (last - first + 1) // merge * merge
    part = slice(first, first + length)
    xs = centres[part].reshape(-1, merge).mean(axis=1)
    return xs, [np.maximum(row[part].reshape(-1, merge).sum(axis=1).astype(np.float64), 1e-12) for row in rows]


def _x(value: float | int, low: float | int, high: float | int) -> float:
    return _LEFT + (value - low) / (high - low) * (WIDTH - _LEFT - _RIGHT)


def _y(value: float | int, low: float | int, high: float | int) -> float:
    return HEIGHT - _BOTTOM - (value - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM)


def _frame(title: str, note: str) -> str:
    ground = HEIGHT - _BOTTOM
    return (
        f'<text x="{_LEFT}" y="15" class="title">{escape(title)}</text>'
        f'<text x="{WIDTH - _RIGHT}" y="15" class="axis" text-anchor="end">{escape(note)}</text>'
        f'<line x1="{_LEFT}" y1="{ground}" x2="{WIDTH - _RIGHT}" y2="{ground}" stroke="currentColor" stroke-opacity="0.5"/>'
    )


def _x_axis(low: float, high: float, unit: str) -> str:
    ground = HEIGHT - _BOTTOM
    marks = []
    for tick in ticks(low, high):
        x = f"{_x(tick, low, high):.1f}"
        marks.append(f'<line x1="{x}" y1="{ground}" x2="{x}" y2="{ground + 4}" stroke="currentColor" stroke-opacity="0.5"/>')
        marks.append(f'<text x="{x}" y="{ground + 15}" class="axis" text-anchor="middle">{tick:.4g}</text>')
    marks.append(f'<text x="{WIDTH - _RIGHT}" y="{HEIGHT - 5}" class="axis" text-anchor="end">{escape(unit)}</text>')
    return "".join(marks)


def _svg(title: str, parts: list[str]) -> str:
    content = "".join(parts)
    return f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{content}</svg>'
