import io
import json

import gymnasium as gym
import pytest
from rich.console import Console

from lm_envs.envs.customer_service import calls
from lm_envs.envs.customer_service.calls import Call
from lm_envs.envs.customer_service.tools import TOOLS
from lm_envs.envs.customer_service.viewer import Viewer, read_command, told
from lm_envs.play import CommandError, play


def env(**arguments):
    return gym.make("lm_envs/CustomerService-v0", disable_env_checker=True, split="test", **arguments).unwrapped


def tool(name, **data):
    return {"role": "tool", "name": name, "content": json.dumps(data)}


def drawn(viewer, width=100, encoding="utf-8"):
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=out, width=width, color_system=None)
    for panel in viewer.panels():
        console.print(panel)
    out.flush()
    return out.buffer.getvalue().decode(encoding)


LINE = {"line": "1", "variant": "kettle-red", "price": "29.00", "status": "ordered"}

# Commands.


@pytest.mark.parametrize(
    ("name", "rest", "arguments"),
    [
        ("get_order", "4411", {"order_id": "4411"}),
        ("get_order", "  4411  ", {"order_id": "4411"}),
        ("authenticate", "C17 LN4 2QA", {"customer_id": "C17", "postcode": "LN4 2QA"}),
        ("find_customer", "Mia O'Brien", {"query": "Mia O'Brien"}),
        ("find_customer", '"Mia Reed"', {"query": "Mia Reed"}),
        ("refund", "4411 1 29.00", {"order_id": "4411", "line_id": "1", "amount": 29.0}),
        ("refund", "4411 1 £29", {"order_id": "4411", "line_id": "1", "amount": 29.0}),
        ("refund", "amount=29 order_id=4411 line_id=1", {"amount": 29.0, "order_id": "4411", "line_id": "1"}),
        ("cancel_order", "4411", {"order_id": "4411"}),
        ("cancel_order", "4411 changed their mind", {"order_id": "4411", "reason": "changed their mind"}),
        ("change_address", "4411 12 Mill Lane, Leeds LS1 4AB", {"order_id": "4411", "address": "12 Mill Lane, Leeds LS1 4AB"}),
        ("change_address", "address=1 Low Road, York order_id=5", {"address": "1 Low Road, York", "order_id": "5"}),
        ("open_ticket", "billing charged twice", {"topic": "billing", "summary": "charged twice"}),
        ("hand_over", "", {}),
        ("hand_over", "reason=injury", {"reason": "injury"}),
        ("search_articles", "x=1 y", {"query": "x=1 y"}),
    ],
)
def test_commands_become_calls(name, rest, arguments):
    call = read_command(TOOLS[name], rest)
    assert call == Call(name, arguments)
    assert calls.parse(calls.render(call)) == call


@pytest.mark.parametrize(
    ("name", "rest", "says"),
    [
        ("get_order", "", "order_id missing: /get_order order_id"),
        ("refund", "4411", "line_id and amount missing: /refund order_id line_id amount"),
        ("refund", "4411 1 lots", "amount must be an amount such as 29.00, got 'lots'"),
        ("refund", "4411 1 nan", "amount must be"),
        ("refund", "4411 1 1e9", "amount must be"),
        ("cancel_order", "", "/cancel_order order_id [reason]"),
        ("authenticate", "customer_id=C1", "postcode missing"),
        ("get_order", "order_id=", "order_id missing"),
    ],
)
def test_commands_that_are_wrong_say_why(name, rest, says):
    with pytest.raises(CommandError) as error:
        read_command(TOOLS[name], rest)
    assert says in str(error.value)


def test_every_tool_has_a_command():
    desk = env()
    desk.reset(seed=0)
    viewer = Viewer(desk)
    assert list(viewer.commands) == list(TOOLS)
    assert all(line.startswith(f"/{name}") and TOOLS[name].description in line for name, line in viewer.commands.items())


# Panels.


def test_only_what_tools_told_is_known():
    assert told(()) == told(({"role": "user", "content": '{"order": "4411"}'}, {"role": "assistant", "content": '{"order": "4411"}'}))
    known = told(
        (
            tool("find_customer", customers=[{"customer_id": "C1", "name": "Mia Reed"}]),
            tool("authenticate", customer_id="C1", verified=True),
            tool("get_order", order="4411", customer_id="C1", status="delivered", due="9 May", lines=[LINE]),
            tool("get_order", error="no order 1"),
            tool("return_item", order="4411", line="1", status="returned", to_refund="29.00"),
            tool("refund", order="4411", line="1", refunded="29.00", payment="P1"),
            tool("open_ticket", ticket="T1", topic="billing"),
            tool("hand_over", handed_over=True),
            {"role": "tool", "name": "shop", "content": '{"cut": '},
            {"role": "tool", "name": "shop", "content": "[1]"},
        )
    )
    assert known.customers == {"C1": {"customer_id": "C1", "name": "Mia Reed", "verified": True}}
    order = known.orders["4411"]
    assert order["status"] == "delivered" and order["lines"]["1"]["status"] == "refunded" and order["lines"]["1"]["refunded"] == "29.00"
    assert known.notes == ["ticket T1 (billing)", "handed over to a person"]


def test_panels_show_mood_and_only_changed_books():
    desk = env()
    desk.reset(seed=5)
    viewer = Viewer(desk)
    shown = drawn(viewer)
    assert "mood" in shown and "patience" in shown and "turn     0 of 24" in shown and "nothing looked up yet" in shown
    number = next(iter(desk.scenario.shop.orders))
    assert number not in shown
    desk.step("Hello!")
    assert "nothing looked up" not in drawn(viewer)
    desk.step(viewer.reply("get_order", number))
    assert f"order {number}" in drawn(viewer)


def test_panels_in_a_narrow_terminal_without_unicode():
    desk = env()
    desk.reset(seed=5)
    shown = drawn(Viewer(desk), width=40, encoding="ascii")
    assert "####" in shown and max(map(len, shown.splitlines())) <= 40


def test_calls_and_answers_are_shown_without_marks_of_json():
    desk = env()
    desk.reset(seed=5)
    viewer = Viewer(desk)
    for call, shown in (
        (Call("refund", {"order_id": "4411", "line_id": "1", "amount": 29.0}), "/refund 4411 1 29.0"),
        (Call("refund", {"amount": 29.0}), "/refund amount=29.0"),
        (Call("hand_over", {}), "/hand_over"),
        (Call("nothing", {"x": [1, None]}), "/nothing x=1, none"),
    ):
        assert viewer.shown({"role": "assistant", "content": calls.render(call)})["content"] == shown
    assert viewer.shown(tool("authenticate", customer_id="C1", verified=False))["content"] == "customer_id: C1, verified: no"
    long = viewer.shown(tool("x", a="b" * 60, lines=[{"line": "1", "price": "2"}, {"line": "2", "price": "3"}]))["content"]
    assert long.splitlines()[1] == "lines: line: 1 price: 2; line: 2 price: 3"
    for role, content in (("user", '{"a": 1}'), ("tool", "plain"), ("assistant", "hi")):
        assert viewer.shown({"role": role, "content": content}) == {"role": role, "content": content}


# All of it.


def test_a_game_with_commands_and_steps_back(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setenv("COLUMNS", "120")
    desk = env()
    desk.reset(seed=5)
    number = next(iter(desk.scenario.shop.orders))
    lines = iter(
        [
            "/get_o " + number,
            "/refund 1 2",
            "you fool",
            "/undo",
            "/cancel",
            f"/cancel_order {number}",
            "/undo",
            "\x1b[31mhello",
            "/nothing",
            "/quit",
        ]
    )
    play(desk, name="lm_envs/CustomerService-v0", seed=5, read=lambda prompt: next(lines))
    shown = capsys.readouterr().out
    assert f"assistant: /get_order {number}" in shown and f"tool get_order: order: {number}" in shown
    assert "order_id missing" in shown and "    broken rule: polite" in shown and "amount missing" in shown and "Taken back: " in shown
    assert "no command /nothing" in shown and "\x1b" not in shown and "assistant: \\u001b[31mhello" in shown
    assert desk.turn == 2 and "cancel_order" not in str(desk.messages)[len(str(desk.messages[:2])) :]
    assert next(lines, None) is None
