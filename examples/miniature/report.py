"""The outcome as a table and a plot: every figure as mean and range over seeds, and differences seed by seed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

ARMS = {"base": "base + SFT", "general": "base + plain text + SFT", "agentic": "base + agentic CPT + SFT"}
COLOURS = {"base": "#7a7a7a", "general": "#c9822b", "agentic": "#1f6fb4"}
FIGURES = {
    "loss_before": "held-out SFT loss before SFT",
    "loss": "held-out SFT loss after SFT",
    "first_step": "first-step agreement",
    "first_words": "first-step agreement in words",
    "readable": "rollouts that can be read to the end",
    "success": "task success",
}
SHARES = {"first_words": "first step, words", "readable": "readable", "success": "success"}


class Result(NamedTuple):
    """An arm of a seed."""

    seed: int
    arm: str
    curve: list[dict[str, Any]]
    """Points of fine-tuning: `tokens`, `train`, `held_out`."""
    figures: dict[str, float]


def results(work: Path) -> list[Result]:
    """What has been finished below a work folder."""
    found = []
    for path in sorted(work.glob("seeds/*/tuned/*/outcome.json")):
        curve = json.loads((path.parent / "curve.json").read_text(encoding="utf-8"))
        figures = json.loads(path.read_text(encoding="utf-8"))
        figures |= {"loss_before": curve[0]["held_out"], "loss": curve[-1]["held_out"]}
        found.append(Result(int(path.parts[-4]), path.parts[-2], curve, figures))
    return found


def spread(values: Sequence[float], form: str) -> str:
    """Mean and range, each as `form` writes it."""
    if not values:
        return "none"
    least, middle, most = (form.format(value) for value in (min(values), mean(values), max(values)))
    return f"{middle} ({least} to {most})"


def table(found: Sequence[Result]) -> str:
    """A Markdown table, and under it the differences between arms, each within its seed."""
    arms = [arm for arm in ARMS if any(r.arm == arm for r in found)]
    lines = ["| figure | " + " | ".join(ARMS[arm] for arm in arms) + " |", "|---" * (len(arms) + 1) + "|"]
    keys = {**FIGURES, **{k: k.replace(".", " of ") for r in found for k in r.figures if k.startswith("success.")}}
    for key, title in keys.items():
        cells = [
            spread([r.figures[key] for r in found if r.arm == arm], "{:.3f}" if loss(key) else "{:.0%}") for arm in arms
        ]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    lines += ["", "| agentic CPT less | " + " | ".join(ARMS[arm] for arm in arms if arm != "agentic") + " |"]
    lines.append("|---" * len(arms) + "|")
    for key in FIGURES:
        form, unit = ("{:+.3f}", 1) if loss(key) else ("{:+.0f} points", 100)
        pairs = [differences(found, key, arm) for arm in arms if arm != "agentic"]
        cells = [spread([unit * value for value in pair], form) for pair in pairs]
        lines.append(f"| {FIGURES[key]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def differences(found: Sequence[Result], key: str, other: str) -> list[float]:
    """The agentic arm less another, seed by seed."""
    by = {(r.seed, r.arm): r.figures[key] for r in found}
    return [by[seed, "agentic"] - by[seed, other] for seed, arm in by if arm == "agentic" and (seed, other) in by]


def loss(key: str) -> bool:
    """Whether a figure is a loss, and no share."""
    return key.startswith("loss")


def plot(found: Sequence[Result]) -> str:
    """An SVG: held-out loss in fine-tuning, and shares of rollouts; bands and whiskers are ranges over seeds."""
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 330" font-family="sans-serif" font-size="12">']
    parts.append('<rect width="860" height="330" fill="white"/>')
    parts += _curves([r for r in found if r.arm in ARMS]) + _bars(found)
    for n, arm in enumerate(ARMS):
        parts.append(f'<rect x="{60 + 250 * n}" y="307" width="12" height="12" fill="{COLOURS[arm]}"/>')
        parts.append(f'<text x="{78 + 250 * n}" y="317">{ARMS[arm]}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _curves(found: Sequence[Result]) -> list[str]:
    left, top, width, height = 60, 40, 360, 220
    most = max(p["tokens"] for r in found for p in r.curve)
    highest = max(p["held_out"] for r in found for p in r.curve)

    def at(tokens: float, loss: float) -> str:
        return f"{left + width * tokens / most:.1f},{top + height * (1 - loss / highest):.1f}"

    parts = [f'<text x="{left}" y="24">held-out SFT loss, nats a token, by tokens of SFT</text>']
    parts += _axes(left, top, width, height)
    for value in range(int(highest) + 1):
        y = top + height * (1 - value / highest)
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{value}</text>')
    parts.append(f'<text x="{left}" y="{top + height + 16}">0</text>')
    parts.append(f'<text x="{left + width}" y="{top + height + 16}" text-anchor="end">{most:,}</text>')
    for arm in ARMS:
        curves = [r.curve for r in found if r.arm == arm]
        if not curves:
            continue
        points = [(ps[0]["tokens"], [p["held_out"] for p in ps]) for ps in zip(*curves, strict=True)]
        band = [at(x, max(ys)) for x, ys in points] + [at(x, min(ys)) for x, ys in reversed(points)]
        parts.append(f'<polygon points="{" ".join(band)}" fill="{COLOURS[arm]}" fill-opacity="0.2"/>')
        line = " ".join(at(x, mean(ys)) for x, ys in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{COLOURS[arm]}" stroke-width="2"/>')
    return parts


def _bars(found: Sequence[Result]) -> list[str]:
    left, top, width, height = 490, 40, 340, 220
    parts = [f'<text x="{left}" y="24">share of held-out questions, real rollouts</text>']
    parts += _axes(left, top, width, height)
    for value in (0, 0.5, 1):
        y = top + height * (1 - value)
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.0%}</text>')
    for group, (key, title) in enumerate(SHARES.items()):
        start = left + 15 + group * width / len(SHARES)
        parts.append(f'<text x="{start}" y="{top + height + 16}">{title}</text>')
        for n, arm in enumerate(ARMS):
            values = [r.figures[key] for r in found if r.arm == arm]
            if not values:
                continue
            low, middle, high = (top + height * (1 - v) for v in (min(values), mean(values), max(values)))
            x = start + 28 * n
            bar = f'<rect x="{x:.1f}" y="{middle:.1f}" width="22" height="{top + height - middle:.1f}"'
            parts.append(f'{bar} fill="{COLOURS[arm]}"/>')
            parts.append(f'<path d="M{x + 11:.1f} {low:.1f}V{high:.1f}" stroke="black"/>')
    return parts


def _axes(left: int, top: int, width: int, height: int) -> list[str]:
    return [f'<path d="M{left} {top}v{height}h{width}" fill="none" stroke="#444"/>']


def write(work: Path) -> str:
    """Write `table.md` and `plot.svg` of what is finished, and return the table."""
    found = results(work)
    text = table(found)
    (work / "table.md").write_text(text + "\n", encoding="utf-8")
    (work / "plot.svg").write_text(plot(found), encoding="utf-8")
    return text
