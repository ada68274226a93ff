"""Plots as inline SVG: a ROC curve, costs by phase, and the epochs' public bits. Colours come from the page's style."""

from __future__ import annotations

import html
from collections.abc import Sequence

from tacit.interface.job.phase import Phase
from tacit.interface.report.record import Curve, Epoch
from tacit.schedule.report import size

BAR, GAP, LABEL = 16, 8, 92


def roc_plot(curves: Sequence[tuple[str, str, Curve]], side: int = 320) -> str:
    """ROC curves as (name, class, curve) over the diagonal of guessing, with a legend."""
    left, bottom, pad = 46, 40, 10
    parts = [
        f'<svg viewBox="0 0 {side + left + pad} {side + bottom + pad}" role="img" aria-label="ROC curve">',
        f'<rect class="frame" x="{left}" y="{pad}" width="{side}" height="{side}"/>',
    ]
    for step in range(6):
        at = step / 5
        x, y = left + at * side, pad + (1 - at) * side
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{pad}" x2="{x:.1f}" y2="{pad + side}"/>')
        parts.append(f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{left + side}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{x:.1f}" y="{pad + side + 15}" text-anchor="middle">{at:g}</text>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{at:g}</text>')
    parts.append(f'<line class="guess" x1="{left}" y1="{pad + side}" x2="{left + side}" y2="{pad}"/>')
    for number, (name, style, curve) in enumerate(curves):
        points = " ".join(
            f"{left + x * side:.1f},{pad + (1 - y) * side:.1f}" for x, y in zip(curve.false, curve.true, strict=True)
        )
        parts.append(f'<polyline class="{style}" points="{points}"/>')
        y = pad + side - 18 - 18 * (len(curves) - 1 - number)
        parts.append(
            f'<line class="{style}" x1="{left + side - 196}" y1="{y - 4}" x2="{left + side - 172}" y2="{y - 4}"/>'
        )
        parts.append(f'<text x="{left + side - 166}" y="{y}">{html.escape(name)}: {curve.auc:.4f}</text>')
    parts.append(
        f'<text x="{left + side / 2}" y="{side + bottom + pad - 4}" text-anchor="middle">false positive rate</text>'
    )
    parts.append(
        f'<text transform="translate(11 {pad + side / 2}) rotate(-90)" text-anchor="middle">true positive rate</text></svg>'
    )
    return "".join(parts)


def phase_plot(phases: Sequence[Phase], width: int = 640) -> str:
    """Two bars for each phase, seconds and bytes, each relative to the largest of its kind."""
    height = len(phases) * (BAR + GAP) + 22
    column = (width - LABEL) / 2
    room = column - 84  # for the figure behind the bar
    most_seconds = max((phase.seconds for phase in phases), default=0.0) or 1.0
    most_bytes = max((phase.bytes for phase in phases), default=0) or 1
    parts = [
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="Cost by phase">',
        f'<text class="head" x="{LABEL}" y="12">seconds</text><text class="head" x="{LABEL + column:.0f}" y="12">bytes</text>',
    ]
    for number, phase in enumerate(phases):
        y = 20 + number * (BAR + GAP)
        text = y + BAR - 4
        parts.append(f'<text x="{LABEL - 10}" y="{text}" text-anchor="end">{html.escape(phase.name)}</text>')
        long = max(1.0, room * phase.seconds / most_seconds)
        parts.append(f'<rect class="time" x="{LABEL}" y="{y}" width="{long:.1f}" height="{BAR}" rx="2"/>')
        parts.append(f'<text x="{LABEL + long + 6:.1f}" y="{text}">{phase.seconds:.2f} s</text>')
        start = LABEL + column
        if phase.bytes:
            wide = max(1.0, room * phase.bytes / most_bytes)
            parts.append(f'<rect class="data" x="{start:.1f}" y="{y}" width="{wide:.1f}" height="{BAR}" rx="2"/>')
            parts.append(f'<text x="{start + wide + 6:.1f}" y="{text}">{size(phase.bytes)}</text>')
        else:
            parts.append(f'<text class="none" x="{start:.1f}" y="{text}">none</text>')
    return "".join([*parts, "</svg>"])


def epoch_plot(epochs: Sequence[Epoch], width: int = 640) -> str:
    """Seconds of each epoch as bars, and under each the bit that became public: going on, or stop."""
    left, top, height = 46, 12, 110
    most = max((epoch.seconds for epoch in epochs), default=0.0) or 1.0
    slot = (width - left) / max(len(epochs), 1)
    bar = min(slot * 0.7, 28)
    parts = [
        f'<svg viewBox="0 0 {width} {top + height + 44}" role="img" aria-label="Epochs of training">',
        f'<text x="{left - 6}" y="{top + 8}" text-anchor="end">{most:.2f} s</text>',
        f'<line class="grid" x1="{left}" y1="{top}" x2="{width}" y2="{top}"/>',
        f'<line class="frame" x1="{left}" y1="{top + height}" x2="{width}" y2="{top + height}"/>',
        f'<text x="{left - 6}" y="{top + height + 32}" text-anchor="end">bit</text>',
    ]
    for position, epoch in enumerate(epochs):
        x = left + (position + 0.5) * slot
        tall = height * epoch.seconds / most
        parts.append(
            f'<rect class="time" x="{x - bar / 2:.1f}" y="{top + height - tall:.1f}" width="{bar:.1f}" height="{tall:.1f}" rx="2"/>'
        )
        parts.append(f'<text x="{x:.1f}" y="{top + height + 15}" text-anchor="middle">{epoch.number}</text>')
        style, said = ("on", "training goes on") if epoch.goes_on else ("stop", "training stops")
        parts.append(
            f'<circle class="{style}" cx="{x:.1f}" cy="{top + height + 28}" r="5"><title>{said}</title></circle>'
        )
    return "".join([*parts, "</svg>"])
