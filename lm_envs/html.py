"""An episode as a page: one HTML file that needs nothing else, neither a network nor scripts.

    write(Transcript.of(play(env, "expert", seed=7), env="lm_envs/CustomerService-v0"), "episode.html")

All text is untrusted and escaped; a content security policy forbids everything but the page's own style sheet besides. The same
transcript gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from lm_envs.envs.customer_service.calls import Call, Malformed, parse
from lm_envs.svg import bars, curve, number, safe, strip, swatch
from lm_envs.transcripts import TokenTrace, Transcript, Turn
from lm_envs.types import Message

SCALES = {"satisfaction": (1.0, 5.0)}  # of metrics that have more than 0 to 1
MOODS = ("satisfaction",)  # metrics whose charts lead those of the others
_FEW = 6  # charts of other metrics
_LEVELS = 8  # shades of a token
_COLUMNS_OF_A_TABLE = 5
_DEEP = 5  # tables inside each other; what lies deeper is shown as JSON


class _Column(NamedTuple):
    """A column of a token trace as it is shown."""

    name: str
    attribute: str
    letter: str  # of the control
    shades: tuple[str, str]  # letters of the classes of values above and below 0
    fill: str  # class of the chart's bars

    def of(self, trace: TokenTrace) -> tuple[float, ...] | None:
        """The values."""
        values: tuple[float, ...] | None = getattr(trace, self.attribute)
        return values


_COLUMNS = (
    _Column("log-prob", "log_probs", "p", ("", "p"), "f1"),
    _Column("value", "values", "v", ("v", "w"), "f0"),
    _Column("reward", "rewards", "r", ("r", "q"), "f2"),
    _Column("KL", "kl", "k", ("k", ""), "f4"),
)


def write(transcript: Transcript, path: str | Path) -> None:
    """Write the page of a transcript to a file; folders that are missing are made.

    Raises:
        OSError: when it can't be written.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(page(transcript), encoding="utf-8", newline="\n")


def page(transcript: Transcript) -> str:
    """The page of a transcript."""
    style = _style()
    policy = f"default-src 'none'; style-src 'sha256-{_digest(style)}'; base-uri 'none'; form-action 'none'"
    traced = any(turn.tokens for turn in transcript.turns)
    body = [
        _head(transcript),
        _charts(transcript),
        _token_charts(transcript.turns) if traced else "",
        "<h2>Conversation</h2>",
        _picker(transcript.turns) if traced else "",
        "".join(map(_message, transcript.opening)),
        *_turns(transcript),
        "" if transcript.end else '<p class="soft">Left before the end.</p>',
        _metrics(transcript),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{safe(_title(transcript))}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main>\n</body>\n</html>\n"
    )


# The top of the page.


def _title(transcript: Transcript) -> str:
    return f"{transcript.env}: {transcript.scenario}" if transcript.scenario else transcript.env


def _head(transcript: Transcript) -> str:
    metrics = transcript.last_metrics
    facts = [("scenario", transcript.scenario)] if transcript.scenario else []
    facts += [(name, number(value) if isinstance(value, float) else str(value)) for name, value in transcript.details.items()]
    facts += [("turns", str(len(transcript.turns))), ("reward", number(transcript.reward, sign=True))]
    facts += [(name, number(metrics[name])) for name in MOODS if name in metrics]
    written = sum(len(turn.tokens.tokens) for turn in transcript.turns if turn.tokens)
    facts += [("tokens", str(written))] if written else []
    items = "".join(f"<li>{safe(name)} <b>{safe(value)}</b></li>" for name, value in facts)
    if "success" in metrics:
        won = metrics["success"] > 0
        items = f'<li class="{"good" if won else "bad"}"><b>{"success" if won else "no success"}</b></li>' + items
    if transcript.end == "truncated":
        items += '<li class="warn">truncated</li>'
    return f'<h1>{safe(transcript.env)}</h1>\n<ul class="facts">{items}</ul>'


def _charts(transcript: Transcript) -> str:
    """Mood, reward by component, and the other metrics that moved."""
    turns = transcript.turns
    if not turns:
        return ""
    rows = [transcript.metrics, *(turn.metrics for turn in turns)]
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name != "turns"]
    columns = {name: [row.get(name, float("nan")) for row in rows] for name in names}
    moved = [name for name in names if len({value for value in columns[name] if isfinite(value)}) > 1]
    # What only jumps once at the end, such as success, is told better in words.
    others = [name for name in moved if name not in MOODS and len({*columns[name][:-1]}) > 1 and not name.startswith("rule_")][:_FEW]

    def charted(name: str) -> str:
        return _figure(name, curve(columns[name], **_scale(name, columns[name]), label=name), columns[name][-1])

    figures = [charted(name) for name in names if name in MOODS]
    components = list(dict.fromkeys(name for turn in turns for name, value in turn.rewards.items() if value))
    if len(turns) > 1 or components:
        stacks = [turn.rewards or {"reward": turn.reward} for turn in turns]
        legend = "".join(f"<span>{swatch(place)}{safe(name)}</span>" for place, name in enumerate(components))
        chart = bars(stacks, components or ["reward"], label="reward of each turn, by component")
        figures.append(_figure("reward by turn", chart + f'<div class="legend">{legend}</div>', transcript.reward, "sum "))
    if len(turns) > 1:
        figures += map(charted, others)
    return f'<div class="charts">{"".join(figures)}</div>'


def _scale(name: str, values: Sequence[float]) -> dict[str, float]:
    if name in SCALES:
        return dict(zip(("low", "high"), SCALES[name], strict=True))
    finite = [value for value in values if isfinite(value)]
    return {"low": 0.0, "high": 1.0} if finite and min(finite) >= 0 and max(finite) <= 1 else {}


def _figure(name: str, drawing: str, last: float, before: str = "", wide: bool = False) -> str:
    caption = f"{safe(name)}<span>{before}{number(last)}</span>"
    kind = ' class="wide"' if wide else ""
    return f"<figure{kind}><figcaption>{caption}</figcaption>{drawing}</figure>"


# The conversation.


def _turns(transcript: Transcript) -> Iterable[str]:
    ranges = {column.name: _range(transcript.turns, column) for column in _COLUMNS}
    before: Mapping[str, float] = transcript.metrics
    for place, turn in enumerate(transcript.turns, 1):
        yield (
            f'<section class="turn"><div class="number">turn {place}</div>{_reply(turn, ranges)}{_after(turn, before)}'
            f"{''.join(map(_message, turn.answers))}</section>"
        )
        before = turn.metrics


def _reply(turn: Turn, ranges: Mapping[str, float]) -> str:
    called = parse(turn.reply) if any(message["role"] == "tool" for message in turn.answers) else None
    inside = _call(called) if isinstance(called, Call) else _text(turn.reply, "(says nothing)")
    if turn.tokens is not None:
        drawn = _tokens(turn.tokens, ranges)
        inside = f"{inside if isinstance(called, Call) else ''}{drawn}"
    label = {Call: "agent, tool call", Malformed: "agent, malformed call"}.get(type(called), "agent")
    return f'<article class="message assistant"><header>{label}</header>{inside}</article>'


def _call(call: Call) -> str:
    return f'<div class="call mono"><b>{safe(call.name)}</b></div>{_table(dict(call.arguments), 0) if call.arguments else ""}'


def _message(message: Message) -> str:
    role = message["role"]
    if role == "system":
        size = f"{len(message['content']):,} characters"
        inside = f"<details><summary>system prompt, {size}</summary>{_text(message['content'])}</details>"
        return f'<article class="message system">{inside}</article>'
    if role == "tool":
        label, inside = f"tool <b>{safe(message.get('name', ''))}</b>", _result(message["content"])
    else:
        label, inside = role if role != "assistant" else "agent", _text(message["content"], "(says nothing)")
    return f'<article class="message {role}"><header><span>{label}</span></header>{inside}</article>'


def _text(text: str, empty: str = "") -> str:
    if not text.strip() and empty:
        return f'<div class="text silent">{empty}</div>'
    return f'<div class="text" dir="auto">{safe(text)}</div>'


def _result(content: str) -> str:
    """What a tool said; JSON is laid out in tables."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return _text(content)
    if not isinstance(value, dict) or not value:
        return _text(content)
    table = _table(value, 0)
    return f'<div class="bad">{table}</div>' if set(value) == {"error"} else table


def _table(value: Mapping[str, Any], depth: int) -> str:
    rows = "".join(f"<tr><th>{safe(str(key))}</th><td>{_cell(item, depth)}</td></tr>" for key, item in value.items())
    return f"<table>{rows}</table>"


def _cell(value: Any, depth: int) -> str:
    if isinstance(value, dict | list) and value and depth >= _DEEP:
        try:
            return safe(json.dumps(value, ensure_ascii=False))
        except RecursionError:
            return "…"
    if isinstance(value, dict) and value:
        return _table(value, depth + 1)
    if isinstance(value, list) and _are_rows(value):
        return _rows(value)
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return "".join(_cell(item, depth + 1) + ("" if isinstance(item, dict) else " ") for item in value)
    if isinstance(value, list):
        return safe(", ".join(map(_plain, value))) or "none"
    return "none" if value == {} else f"<bdi>{safe(_plain(value))}</bdi>"


def _are_rows(items: list[Any]) -> bool:
    """Whether a list of objects is a table: a few keys, the same in all, with nothing inside."""
    keys = list(items[0]) if items and isinstance(items[0], dict) else []
    return 0 < len(keys) <= _COLUMNS_OF_A_TABLE and all(
        isinstance(item, dict) and list(item) == keys and not any(isinstance(value, dict | list) for value in item.values())
        for item in items
    )


def _rows(items: list[dict[str, Any]]) -> str:
    heads = "".join(f"<th>{safe(key)}</th>" for key in items[0])
    rows = "".join("<tr>" + "".join(f"<td>{_cell(value, 0)}</td>" for value in item.values()) + "</tr>" for item in items)
    return f'<table class="rows"><tr>{heads}</tr>{rows}</table>'


def _plain(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return str(value)


def _after(turn: Turn, before: Mapping[str, float]) -> str:
    """Under a reply: its reward, by component, and the metrics it moved."""
    parts = [f"reward <b>{number(turn.reward, sign=True)}</b>"]
    if len(turn.rewards) > 1:
        parts += [f"{safe(name)} {number(value, sign=True)}" for name, value in turn.rewards.items() if number(value) != "0"]
    for name, value in turn.metrics.items():
        old = before.get(name, 0.0)
        if name == "turns" or value == old or number(value) == number(old):
            continue
        kind = "bad" if name.startswith("rule_") or "violation" in name or name in ("left", "attack_success") else ""
        kind = "good" if name == "success" and value > old else kind
        parts.append(f'<span class="{kind}">{safe(name)} {number(old)} → {number(value)}</span>')
    return f'<div class="after num">{"".join(f"<span>{part}</span>" for part in parts)}</div>'


# Tokens.


def _known(turns: Sequence[Turn]) -> list[_Column]:
    """The columns that some trace has."""
    return [column for column in _COLUMNS if any(turn.tokens and column.of(turn.tokens) is not None for turn in turns)]


def _range(turns: Sequence[Turn], column: _Column) -> float:
    """The largest size of a column's values, to shade by."""
    values = [abs(value) for turn in turns if turn.tokens for value in column.of(turn.tokens) or () if isfinite(value)]
    return max(values, default=0.0)


def _token_charts(turns: Sequence[Turn]) -> str:
    traces = [turn.tokens for turn in turns if turn.tokens]
    cuts = [sum(len(trace.tokens) for trace in traces[:place]) for place in range(len(traces))]
    figures = []
    for column in _known(turns):
        values = [value for trace in traces for value in column.of(trace) or (float("nan"),) * len(trace.tokens)]
        finite = [value for value in values if isfinite(value)] or [0.0]
        what, last = ("sum", sum(finite)) if column.name == "reward" else ("mean", sum(finite) / len(finite))
        span = f"{number(min(finite))} to {number(max(finite))}, {what} "
        drawing = strip(values, cuts, column.fill, f"{column.name} of each token")
        figures.append(_figure(f"{column.name} by token", drawing, last, span, wide=True))
    return f'<h2>Tokens</h2><div class="charts">{"".join(figures)}</div>'


def _picker(turns: Sequence[Turn]) -> str:
    """Radio buttons that say which column colours the tokens; the style sheet reads them."""
    buttons = "".join(
        f'<label><input type="radio" name="by" id="by-{column.letter}"{" checked" if not place else ""}> {column.name}</label>'
        for place, column in enumerate(_known(turns))
    )
    return f'<div class="picker"><span class="soft">colour tokens by</span>{buttons}</div>'


def _tokens(trace: TokenTrace, ranges: Mapping[str, float]) -> str:
    columns = [(column, values) for column in _COLUMNS if (values := column.of(trace)) is not None]
    spans, rows = [], []
    for place, token in enumerate(trace.tokens):
        known = [(column, values[place]) for column, values in columns]
        shades = (_shade(value, ranges[column.name], column.shades) for column, value in known)
        classes = " ".join(["t", *filter(None, shades)])
        visible = token.replace("\n", "↵") or "◌"  # nothing of its own: the rest of a character follows
        shown = safe(token.replace("\n", "↵\n")) if token else f'<span class="part">{visible}</span>'
        title = ", ".join(f"{column.name} {number(value)}" for column, value in known)
        spans.append(f'<span class="{classes}" title="{title}">{shown}</span>')
        cells = "".join(f"<td>{number(value)}</td>" for _, value in known)
        rows.append(f"<tr><td>{safe(visible)}</td>{cells}</tr>")
    heads = "".join(f"<th>{column.name}</th>" for column, _ in columns)
    table = f"<table><thead><tr><th>token</th>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    count = f"{len(trace.tokens)} token{'s' if len(trace.tokens) != 1 else ''}"
    return (
        f'<div class="tokens" dir="auto">{"".join(spans)}</div>'
        f'<details><summary>{count} in numbers</summary><div class="grid num">{table}</div></details>'
    )


def _shade(value: float, largest: float, shades: tuple[str, str]) -> str:
    """The class of a value's shade; none where it is about 0."""
    if not isfinite(value) or largest <= 0:
        return ""
    level = min(_LEVELS, round(abs(value) / largest * _LEVELS))
    letter = shades[0] if value > 0 else shades[1]
    return f"{letter}{level}" if level and letter else ""


# The bottom of the page, and the style sheet.


def _metrics(transcript: Transcript) -> str:
    """The ground truth at the end; rules that weren't broken are folded away."""
    metrics = transcript.last_metrics
    kept = {name: value for name, value in metrics.items() if not name.startswith("rule_") or value}
    rest = {name: value for name, value in metrics.items() if name not in kept}
    folded = f"<details><summary>{len(rest)} rules that were kept</summary>{_list(rest)}</details>" if rest else ""
    return f"<h2>Ground truth at the end</h2>{_list(kept)}{folded}" if metrics else ""


def _list(metrics: Mapping[str, float]) -> str:
    items = "".join(f"<li><span>{safe(name)}</span><b>{number(value)}</b></li>" for name, value in metrics.items())
    return f'<ul class="metrics num">{items}</ul>'


@cache
def _style() -> str:
    """The style sheet, with a rule for each shade of a token."""
    shades = "".join(f".{letter}{level}{{--{letter}:{level}}}" for letter in "pkvwrq" for level in range(1, _LEVELS + 1))
    return files("lm_envs").joinpath("html.css").read_text(encoding="utf-8") + shades


def _digest(style: str) -> str:
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
