"""Reads an agent's reply: one tool call, or text for the customer.

    {"name": "get_order", "arguments": {"order_id": "4411"}}
    <tool_call>{"name": "get_order", "arguments": {"order_id": "4411"}}</tool_call>
    I have found your order.

Replies are untrusted: reading takes time in proportion to their length, and never raises.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lm_envs.spaces import well_formed

MAX_CHARS = 2000  # of a call
MAX_BRACKETS = 32  # in a call: none needs more, and nesting can't be deep

OPEN, CLOSE = "<tool_call>", "</tool_call>"


@dataclass(frozen=True)
class Call:
    """A tool call, as it was written; :mod:`tools` says whether there is such a tool."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Text:
    """Words for the customer."""

    text: str


@dataclass(frozen=True)
class Malformed:
    """What looks like a call and isn't one, and why; nobody but the agent gets to see it."""

    why: str


def parse(reply: str) -> Call | Text | Malformed:
    """Read a reply.

    A call is a JSON object with ``"name"`` and ``"arguments"`` (or ``"parameters"``), alone, in a fence, or between
    ``<tool_call>`` and ``</tool_call>``. What stands around these tags is dropped, as by the chat templates that use them;
    beside the other forms no text may stand. Braces in a sentence don't make a call.
    """
    text = reply.strip()
    if text.startswith("<think>"):  # a reasoning model's thoughts are for nobody
        text = text.partition("</think>")[2].strip()
    if OPEN in text:
        return _tagged(text)
    if text.startswith("```"):
        fenced = _FENCE.fullmatch(text)
        if fenced and fenced[1].lstrip().startswith("{"):
            text = fenced[1].strip()
    if text.startswith("{"):
        return _bare(text)
    if (found := _CALL.search(text)) and _ARGUMENTS.search(text, found.end()):
        return Malformed("text beside a call: send either text or one call")
    return Text(text)


def render(call: Call, style: Literal["json", "hermes"] = "json") -> str:
    """A call as an agent writes it; ``parse(render(call, style)) == call``."""
    text = json.dumps({"name": call.name, "arguments": dict(call.arguments)}, ensure_ascii=False)
    return f"{OPEN}\n{text}\n{CLOSE}" if style == "hermes" else text


_FENCE = re.compile(r"```(?:json|tool_call)?[ \t]*\n(.*?)\n?```", re.DOTALL)
_CALL = re.compile(r'\{\s*"name"\s*:')
_ARGUMENTS = re.compile(r'"(?:arguments|parameters)"\s*:')
_OBJECT = re.compile(r'\{\s*["}]')


def _tagged(text: str) -> Call | Malformed:
    if text.count(OPEN) > 1:
        return Malformed("two calls in one reply: send one")
    inner = text.partition(OPEN)[2].partition(CLOSE)[0].strip()
    if not inner.startswith("{"):
        return Malformed("no JSON object in <tool_call>")
    call = _bare(inner)
    return call if isinstance(call, Call | Malformed) else Malformed('a call needs "name" and "arguments"')


def _bare(text: str) -> Call | Text | Malformed:
    """Read a text that starts with a brace."""
    if not _OBJECT.match(text):
        return Text(text)
    try:
        value, end = _object(text)
    except ValueError as error:
        return Malformed(str(error)) if _CALL.match(text) or _ARGUMENTS.search(text) else Text(text)
    rest = text[end:].strip()
    if rest:
        return Malformed("two calls in one reply: send one" if _CALL.match(rest) else "text beside a call: send either text or one call")
    return _call(value)


def _object(text: str) -> tuple[dict[str, Any], int]:
    """The object that a text starts with, and where it ends.

    Raises:
        ValueError: when that can't be a call.
    """
    if len(text) > MAX_CHARS:
        raise ValueError(f"a call has at most {MAX_CHARS} characters")
    if text.count("{") + text.count("[") > MAX_BRACKETS:
        raise ValueError("a call with too many brackets")
    try:
        value, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not valid JSON: {error}") from None
    if not isinstance(value, dict) or "name" not in value or not ("arguments" in value or "parameters" in value):
        raise ValueError('a call needs "name" and "arguments"')
    return value, end


def _call(value: dict[str, Any]) -> Call | Malformed:
    name, arguments = value["name"], value.get("arguments", value.get("parameters"))
    if isinstance(arguments, str):  # some APIs write the arguments as a text of their own
        try:
            arguments = _DECODER.decode(arguments)
        except (ValueError, RecursionError) as error:
            return Malformed(f"arguments are not valid JSON: {error}")
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return Malformed('"name" must be a string and "arguments" an object')
    return Call(well_formed(name.strip()), {well_formed(key): _clean(item) for key, item in arguments.items()})


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {well_formed(key): _clean(item) for key, item in value.items()}
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is not a number")


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse)
