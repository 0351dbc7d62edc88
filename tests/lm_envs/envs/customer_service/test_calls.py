import json
import time

import numpy as np
import pytest

from lm_envs.envs.customer_service.calls import MAX_CHARS, Call, Malformed, Text, parse, render

ORDER = Call("get_order", {"order_id": "4411"})
BARE = '{"name": "get_order", "arguments": {"order_id": "4411"}}'


@pytest.mark.parametrize(
    "reply",
    [
        BARE,
        f"  {BARE}\n",
        BARE.replace("arguments", "parameters"),
        f"```json\n{BARE}\n```",
        f"```\n{BARE}\n```",
        f"<tool_call>\n{BARE}\n</tool_call>",
        f"<tool_call>{BARE}",
        f"I'll look that up. <tool_call>{BARE}</tool_call> One moment.",
        f"<think>An order: {{}} <tool_call></think>\n{BARE}",
        '{"arguments": {"order_id": "4411"}, "name": " get_order "}',
        '{"name": "get_order", "arguments": "{\\"order_id\\": \\"4411\\"}"}',
        '{"id": 7, "type": "function", "name": "get_order", "arguments": {"order_id": "4411"}}',
    ],
)
def test_calls(reply):
    assert parse(reply) == ORDER


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "Your order is on its way.",
        "Fill in {your name} and {your order}.",
        "{name}, your parcel is here.",
        "{",
        "{}",
        '{"greeting": "hello"}',
        "The number is [4411] {sic}.",
        "```\nsome text\n```",
        'The word "name": is fine, so is {"name": "Ann"}.',
        "</tool_call>",
        '"name": "get_order", "arguments": {}',
    ],
)
def test_texts(reply):
    assert parse(reply) == Text(reply.strip())


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (f"{BARE}\n{BARE}", "two calls"),
        (f"<tool_call>{BARE}</tool_call><tool_call>{BARE}</tool_call>", "two calls"),
        (f"{BARE} Here you are.", "text beside"),
        (f"Let me see. {BARE}", "text beside"),
        (f"```json\n{BARE}\n```\nOne moment.", "text beside"),
        (BARE[:-1], "not valid JSON"),
        ('{"name": get_order, "arguments": {}}', "not valid JSON"),
        ('{"name": "get_order"}', "needs"),
        ('{"arguments": {"order_id": "4411"}}', "needs"),
        ('{"name": 7, "arguments": {}}', "must be a string"),
        ('{"name": "x", "arguments": [1]}', "must be a string"),
        ('{"name": "x", "arguments": "{"}', "not valid JSON"),
        ('{"name": "refund", "arguments": {"amount": NaN}}', "not valid JSON"),
        ('{"name": "refund", "arguments": {"amount": -Infinity}}', "not valid JSON"),
        ('{"name": "refund", "arguments": {"amount": 1e999}}', "not valid JSON"),
        ('{"name": "x", "arguments": {"a": ' + "[" * 500 + "]" * 500 + "}}", "brackets"),
        ('{"name": "x", "arguments": {"a": "' + "b" * MAX_CHARS + '"}}', "at most"),
        ("<tool_call>get_order(4411)</tool_call>", "no JSON"),
        ('<tool_call>{"order_id": 4411}</tool_call>', "needs"),
    ],
)
def test_malformed(reply, why):
    read = parse(reply)
    assert isinstance(read, Malformed) and why in read.why


@pytest.mark.parametrize("style", ["json", "hermes"])
@pytest.mark.parametrize("call", [ORDER, Call("hand_over"), Call("refund", {"amount": 29.5, "line_id": "1", "note": 'a "quote" é </x>'})])
def test_render_and_parse(call, style):
    assert parse(render(call, style)) == call


def test_lone_surrogates_are_replaced():
    read = parse('{"name": "x\\ud800", "arguments": {"\\ud801": ["\\ud802", {"a": "\\udfff"}]}}')
    assert isinstance(read, Call)
    json.dumps([read.name, dict(read.arguments)], ensure_ascii=False).encode()


def test_no_text_raises_or_takes_long():
    rng = np.random.default_rng(0)
    pieces = [
        "{", "}", "[", "]", '"', "\\", ":", ",", '"name"', '"arguments"', "<tool_call>", "</tool_call>", "```", "```json\n", "\n",
        " ", "1e9",
    ]  # fmt: skip
    pieces += ["NaN", "get_order", BARE, "\ud800", "<think>", "</think>", "\\u00e9", "Hello."]
    for _ in range(3000):
        parse("".join(pieces[int(index)] for index in rng.integers(len(pieces), size=int(rng.integers(1, 30)))))
    started = time.perf_counter()
    for piece in (*pieces, '{"name":', '{"name": "a", ', "{ ", "```json\n{", '{"', "<think>"):
        parse(piece * (60_000 // len(piece)))
        parse("x" + piece * (60_000 // len(piece)))
    assert time.perf_counter() - started < 2
