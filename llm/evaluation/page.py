"""The report as one HTML file that needs nothing else: figures against baselines, kinds, and what was answered."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from lorgnette.llm.evaluation.examples import choose_examples, thumbnail
from lorgnette.llm.evaluation.report import Record, interval
from lorgnette.llm.evaluation.scoring import Judged, TaskScore
from lorgnette.llm.evaluation.task import Condition, Outcome

_EXAMPLES = 12
_KINDS = 25
_SIDE = 240  # of the reliability plot, in its own units
_MARGIN = 42


def make_page(report: Record, scores: Sequence[TaskScore]) -> str:
    """`scores` give the examples and their pictures, which the report does not hold."""
    style = files("lorgnette.llm.evaluation").joinpath("page.css").read_text("utf-8")
    name = f"Evaluation of {report['engine']['name']}"
    body = [f"<h1>{escape(name)}</h1>", _origin(report), _overview(report)]
    for index, (record, score) in enumerate(zip(report["tasks"], scores, strict=True)):
        body.append(_section(f"task-{index}", record, score))
    if report["confidence"]:
        body.append(_confidence(report["confidence"]))
    body.append(_notes())
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(name)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>"
    )


def _origin(report: Record) -> str:
    sets = [
        f"{data['name']} ({data['photos']} of {data['photos_in_set']} photographs{', ' if data['split'] else ''}"
        f"{data['split']})"
        for data in report["data"]
    ]
    speed = report["speed"]
    lines = [f"Data: {'; '.join(sets)}. Machine: {report['machine']}."]
    if speed["answers"]:
        lines.append(
            f"{speed['answers']} answers; medians: {1000 * speed['answer_s']:.0f} ms an answer,"
            f" {1000 * speed['first_token_s']:.0f} ms from a new picture to the first word."
        )
    lines += [f"Left out: {line}" for line in report["unreadable"]]
    return "".join(f'<p class="soft">{escape(line)}</p>' for line in lines)


def _overview(report: Record) -> str:
    rows = []
    for index, task in enumerate(report["tasks"]):
        title = f'<a href="#task-{index}">{escape(task["data"])}: {escape(task["title"])}</a>'
        if not task["figures"]:
            rows.append(f'<tr><td>{title}</td><td colspan="3">{escape(task["skipped"])}</td></tr>')
            continue
        figure = task["figures"][0]
        values = "".join(f'<td class="value">{_value(figure.get(condition))}</td>' for condition in Condition)
        rows.append(f"<tr><td>{title}<br><small>{escape(figure['name'])}</small></td>{values}</tr>")
    head = "<tr><th>Task and its main figure</th><th>Picture</th><th>Shuffled</th><th>Blind</th></tr>"
    return f'<div class="wide"><table>{head}{"".join(rows)}</table></div>'


def _section(anchor: str, record: Record, score: TaskScore) -> str:
    title = f"{record['data']}: {record['title']}"
    parts = [f'<h2 id="{anchor}">{escape(title)}</h2>', f'<p class="soft">{_facts(record)}</p>']
    parts += [_bars(figure) for figure in record["figures"]]
    if len(record["kinds"]) > 1:
        parts.append(_kinds(record["kinds"]))
    examples = choose_examples(score.judged.get(Condition.PICTURE, ()), _EXAMPLES)
    if examples:
        cards = "".join(_card(entry, score) for entry in examples)
        parts.append(
            f'<details open><summary>Answers, wrong ones first</summary><div class="cards">{cards}</div></details>'
        )
    return f"<section>{''.join(parts)}</section>"


def _facts(record: Record) -> str:
    facts = f"{record['questions']} questions"
    if record["skipped"]:
        facts += f"; skipped: {record['skipped']}"
    if record["guess"] is not None:
        facts += f"; guessing without looking would get about {record['guess']:.0f} %"
    return escape(facts)


def _bars(figure: Record) -> str:
    """One bar for each condition: shares on 0 to 100, points from 0 (or the least bound) to the greatest bound."""
    shown = [(condition, figure[condition]) for condition in Condition if condition in figure]
    bottom = min(0.0, *(value["low"] for _, value in shown))
    top = max(100.0 if figure["unit"] == "%" else 1.0, *(value["high"] for _, value in shown))
    rows = []
    for condition, value in shown:
        zero, low, middle, high = (
            100 * (x - bottom) / (top - bottom) for x in (0.0, value["low"], value["value"], value["high"])
        )
        rows.append(
            f'<span>{condition}</span><span class="track" style="--hue:var(--{condition})">'
            f'<span class="fill" style="left:{min(zero, middle):.1f}%;width:{abs(middle - zero):.1f}%"></span>'
            f'<span class="span" style="left:{low:.1f}%;width:{high - low:.1f}%"></span></span>'
            f'<span class="value">{interval(value)}</span>'
        )
    better = "" if figure["higher_is_better"] else " (lower is better)"
    unit = f", {figure['unit']}" if figure["unit"] else ""
    return f'<h3>{escape(figure["name"])}{unit}{better}</h3><div class="bars">{"".join(rows)}</div>'


def _kinds(kinds: Sequence[Record]) -> str:
    rows = []
    for kind in kinds[:_KINDS]:
        errors = ", ".join(f"{escape(_short(error['said']))} ({error['times']})" for error in kind["errors"])
        values = "".join(f'<td class="value">{_value(kind["right"].get(condition))}</td>' for condition in Condition)
        name, count, missing = escape(kind["kind"] or "other"), kind["questions"], kind["missing"]
        rows.append(f"<tr><td>{name}</td><td>{count}</td>{values}<td>{missing}</td><td>{errors}</td></tr>")
    head = (
        "<tr><th>Kind</th><th>Questions</th><th>Right, %</th><th>Shuffled</th><th>Blind</th><th>Can't tell</th>"
        "<th>Commonest errors</th></tr>"
    )
    more = f'<p class="soft">and {len(kinds) - _KINDS} more kinds</p>' if len(kinds) > _KINDS else ""
    table = f'<div class="wide"><table>{head}{"".join(rows)}</table></div>'
    return f"<details><summary>By kind</summary>{table}{more}</details>"


def _card(entry: Judged, score: TaskScore) -> str:
    picture = thumbnail(score.run.selection, entry.shown)
    outcome = entry.judgement.outcome
    tag = f'<span class="tag {outcome}">{outcome}</span> ' if outcome is not Outcome.NONE else ""
    wanted = " / ".join(_short(text) for text in entry.item.answers[:3])
    chance = f" ({100 * math.exp(entry.answer.log_probability):.0f} % a token)" if entry.answer.tokens else ""
    expected = f"<br>expected: {escape(wanted)}" if wanted else ""
    alt = escape(entry.shown, quote=True)
    return (
        f'<figure><img src="{picture}" alt="{alt}" loading="lazy"><figcaption>{tag}{escape(entry.item.question)}<br>'
        f"<b>{escape(_short(entry.said, 240)) or '(nothing)'}</b>{chance}{expected}</figcaption></figure>"
    )


def _confidence(fitted: Record) -> str:
    return (
        "<section><h2>Confidence</h2>"
        '<p class="soft">Chance of being right from the mean log-probability of an answer\'s tokens, fitted on one'
        f" half of the photographs and held against the other: expected calibration error {fitted['ece']:.3f} over"
        f" {fitted['answers']} answers ({fitted['ece_plain']:.3f} for the plain probability)."
        f" Slope {fitted['slope']:.3f}, intercept {fitted['intercept']:.3f}. A point on the line is honest; its area is"
        f" the number of answers.</p>{_reliability(fitted['bins'])}</section>"
    )


def _reliability(bins: Sequence[Record]) -> str:
    def place(x: float, y: float) -> tuple[float, float]:
        return _MARGIN + x * _SIDE, 8 + (1 - y) * _SIDE

    most = max(entry["count"] for entry in bins)
    size = _SIDE + _MARGIN + 10
    (x0, y0), (x1, y1) = place(0, 0), place(1, 1)
    marks = "".join(_ticks(x0, y0))
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{3 + 9 * math.sqrt(entry["count"] / most):.1f}" fill="var(--picture)"'
        f' fill-opacity=".75"><title>{entry["count"]} answers, chance {entry["chance"]:.2f}, right {entry["right"]:.2f}'
        "</title></circle>"
        for entry in bins
        for x, y in (place(entry["chance"], entry["right"]),)
    )
    return (
        f'<svg viewBox="0 0 {size} {size + 8}" role="img" aria-label="Reliability: share of right answers by chance">'
        f'<rect x="{x0}" y="{y1}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="var(--line)"/>'
        f'<line x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}" stroke="var(--soft)" stroke-dasharray="4 4"/>{marks}{dots}'
        f'<text x="{x0 + _SIDE / 2}" y="{y0 + 32}" text-anchor="middle">chance of being right, as told</text>'
        f'<text transform="translate(9 {y1 + _SIDE / 2}) rotate(-90)" text-anchor="middle">share that was right</text>'
        "</svg>"
    )


def _ticks(x0: float, y0: float) -> Iterator[str]:
    for tick in (0.0, 0.5, 1.0):
        yield f'<text x="{x0 + tick * _SIDE}" y="{y0 + 15}" text-anchor="middle">{tick:g}</text>'
        yield f'<text x="{x0 - 5}" y="{y0 - tick * _SIDE + 4}" text-anchor="end">{tick:g}</text>'


def _notes() -> str:
    return (
        '<p class="soft">Brackets are 95 % bootstrap intervals over photographs. “Shuffled” shows another photograph of'
        " the set with the question, “blind” none: what is right there is guessed, not seen.</p>"
    )


def _value(value: Mapping[str, Any] | None) -> str:
    if not value:
        return "-"
    middle, _, bounds = interval(value).partition(" ")
    return f"{middle} <small>{bounds}</small>"


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
