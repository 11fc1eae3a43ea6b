"""The report as one HTML file that needs nothing else: pictures, tokens side by side, bars, sizes and speed."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from lorgnette.export.verification.cases import PHOTOS

Record = Mapping[str, Any]

_WIDTH, _ROW = 560, 26  # of the plots, in their own units
_STYLE = """
.tokens { line-height: 1.9; } .tokens span { padding: 1px 2px; border-radius: 3px; white-space: pre-wrap; }
.tie { background: #f3d98b; color: #222; } .flip { background: #e58f7b; color: #222; } .met { color: #2a8a4a; }
.missed { color: #c2412d; font-weight: 600; } .answer { display: flex; gap: 1em; flex-wrap: wrap; margin: 1em 0; }
.answer img { width: 160px; height: auto; align-self: flex-start; } .answer div { flex: 1; min-width: 260px; }
svg text { fill: currentColor; font: 12px system-ui, sans-serif; }
"""


def make_page(report: Record) -> str:
    """The page of a report as `report.make_report` gives it."""
    style = files("lorgnette.llm.evaluation").joinpath("page.css").read_text("utf-8") + _STYLE
    name = f"Export of {report['name']}"
    body = [f"<h1>{escape(name)}</h1>", _origin(report), _bars(report["bars"]), _parts(report), _plots(report)]
    body += [_comparison(one, report["near_tie_nats"]) for one in report["comparisons"]]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(name)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _origin(report: Record) -> str:
    sources = "; ".join(f"{part['name']} ({part['licence']}, {part['source']})" for part in report["made_of"])
    speed, export = report["speed"], report["export"]
    on = f" on {speed['gpu']}" if speed["gpu"] else ""
    lines = [
        f"Made of: {sources}.",
        f"Profile: {report['profile'] or 'none'}. Measured on: {report['machine']}.",
        f"One tile of a new picture to the first token{on}: {speed['first_token_s']:.2f} s (image encoder"
        f" {speed['encode_s']:.2f} s); then {speed['tokens_per_s']:.0f} tokens a second; {speed['memory_mb']:.0f} MB of"
        f" memory; opened in {speed['open_s']:.2f} s.",
    ]
    if report["estimate"]:
        estimate = report["estimate"]
        lines.append(
            f"Estimated for {estimate['device']} ({estimate['gflops']:g} Gflop/s, {estimate['bandwidth_gbs']:g} GB/s):"
            f" first token {estimate['first_token_s']:.2f} s, {estimate['tokens_per_s']:.0f} tokens a second."
        )
    if export["seconds"]:
        lines.append(f"The export took {export['seconds']:.0f} s and {export['peak_memory_mb']} MB.")
    return "".join(f'<p class="soft">{escape(line)}</p>' for line in lines)


def _bars(bars: Sequence[Record]) -> str:
    words = {True: ("met", "met"), False: ("missed", "missed"), None: ("soft", "not measured")}
    rows = [
        f"<tr><td>{escape(bar['name'])}</td><td>{escape(bar['wanted'])}</td><td>{escape(bar['measured'])}</td>"
        f'<td class="{words[bar["met"]][0]}">{words[bar["met"]][1]}</td></tr>'
        for bar in bars
    ]
    return _table("Bars", ("bar", "wanted", "measured", ""), rows)


def _parts(report: Record) -> str:
    rows = []
    for one in report["comparisons"]:
        features = one["features"]
        seen = f"{features['cosine']:.5f}</td><td>{features['max_difference']:.2g}" if features else "-</td><td>-"
        rows.append(
            f"<tr><td>{escape(one['model'])}</td><td>{escape(one['reference'])}</td><td>{seen}</td>"
            f"<td>{one['mean_kl']:z.4f}</td><td>{100 * one['agreement']:.1f} %</td>"
            f"<td>{100 * one['agreement_or_near_tie']:.1f} %</td></tr>"
        )
    heads = ("model", "against", "features: cosine", "largest error", "mean KL (nats)", "same token", "or near-tie")
    return _table("How far each is", heads, rows)


def _table(title: str, heads: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    return f"<h2>{escape(title)}</h2>\n<table>\n<tr>{head}</tr>\n" + "\n".join(rows) + "\n</table>"


def _plots(report: Record) -> str:
    sizes = [(file["name"], file["bytes"] / 1e6) for file in report["files"] if file["bytes"] >= 1e5]
    kls = [(f"{one['model']} against {one['reference']}", one["mean_kl"]) for one in report["comparisons"]]
    return _plot("Size of the files (MB)", sizes, "{:.1f}") + _plot("Mean KL divergence (nats)", kls, "{:z.4f}", 0.01)


def _plot(title: str, values: Sequence[tuple[str, float]], form: str, least: float = 1.0) -> str:
    """Bars lying on their side, a line of text above each. The whole width is the greatest value, and `least` at least:
    differences between nothing and nothing are not drawn."""
    most = max([least, *(value for _, value in values)])
    shapes = []
    for index, (name, value) in enumerate(values):
        top = 2 * _ROW * index
        width = max(1.0, (_WIDTH - 80) * max(value, 0.0) / most)
        shapes.append(
            f'<text x="0" y="{top + 16}">{escape(name)}</text>'
            f'<rect x="0" y="{top + 22}" width="{width:.1f}" height="14" rx="2" fill="#5b8def"/>'
            f'<text x="{width + 6:.1f}" y="{top + 34}">{form.format(value)}</text>'
        )
    height = 2 * _ROW * len(values) + 8
    return (
        f"<h2>{escape(title)}</h2>\n"
        f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" style="max-width:100%" role="img">'
        f"<title>{escape(title)}</title>{''.join(shapes)}</svg>"
    )


def _comparison(comparison: Record, near_tie: float) -> str:
    title = f"{comparison['model']} against {comparison['reference']}, token by token"
    return f"<h2>{escape(title)}</h2>\n" + "\n".join(
        _answer(one, comparison, near_tie) for one in comparison["answers"]
    )


def _answer(answer: Record, comparison: Record, near_tie: float) -> str:
    flips = {flip["place"]: flip for flip in answer["flips"]}
    expected = "".join(_word(place, text, flips, near_tie) for place, text in enumerate(answer["expected_words"]))
    actual = "".join(f"<span>{_shown(text)}</span>" for text in answer["actual_words"])
    tiles = f", {answer['tiles']} tiles" if answer["tiles"] > 1 else ""
    return (
        f'<div class="answer">{_picture(answer["picture"])}<div><p><strong>{escape(answer["question"])}</strong>'
        f'<span class="soft"> {answer["prompt_tokens"]} tokens of prompt{tiles}; {len(flips)} of'
        f" {len(answer['expected'])} chosen otherwise, mean KL {answer['mean_kl']:z.4f}</span></p>"
        f'<p class="soft">{escape(comparison["reference"])}</p><p class="tokens">{expected}</p>'
        f'<p class="soft">{escape(comparison["model"])}</p><p class="tokens">{actual}</p></div></div>'
    )


def _word(place: int, text: str, flips: Mapping[int, Record], near_tie: float) -> str:
    flip = flips.get(place)
    if flip is None:
        return f"<span>{_shown(text)}</span>"
    kind = "tie" if flip["margin"] <= near_tie else "flip"
    told = f"here another token is chosen; this one is {2.718281828 ** flip['margin']:.2f} times as likely"
    return f'<span class="{kind}" title="{told}">{_shown(text)}</span>'


def _shown(text: str) -> str:
    """A token's text with the ends of lines made visible: answers of untrained models are full of them."""
    return escape(text.replace("\n", "\u23ce"))


def _picture(name: str) -> str:
    if not name:
        return ""
    encoded = base64.b64encode((PHOTOS / name).read_bytes()).decode()
    return f'<img alt="{escape(name)}" src="data:image/jpeg;base64,{encoded}">'
