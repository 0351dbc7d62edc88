"""The service desk in a terminal: how the customer feels, what the tools have shown, and tools as short commands.

    /get_order 4411                    {"name": "get_order", "arguments": {"order_id": "4411"}}
    /refund 4411 1 29.00               {"name": "refund", "arguments": {"order_id": "4411", "line_id": "1", "amount": 29.0}}
    /open_ticket topic=billing         arguments by name

Nothing is shown of the shop that no tool has told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from lm_envs.envs.customer_service import calls
from lm_envs.envs.customer_service.calls import Call
from lm_envs.envs.customer_service.tools import TOOLS, Tool
from lm_envs.play import CommandError
from lm_envs.rendering import printable
from lm_envs.types import Message, Messages

if TYPE_CHECKING:
    from lm_envs.envs.customer_service.env import CustomerServiceEnv

_BAR = 16  # characters of a bar
_LINE = 64  # characters of an answer that stays on one line
_DEEP = 4  # levels of an answer that are laid out
_MOODS = ((0.2, "furious", "red"), (0.4, "upset", "red"), (0.6, "unsure", "yellow"), (0.8, "content", "green"), (1.0, "happy", "green"))
_STATUS = {"pending": "cyan", "processed": "cyan", "shipped": "blue", "delivered": "green", "returned": "magenta", "cancelled": "red"}


class Viewer:
    """Panels and commands of the service desk.

    Args:
        env: an environment that has been reset.
    """

    def __init__(self, env: CustomerServiceEnv) -> None:
        self.env = env
        self.commands: dict[str, str] = {name: _help(TOOLS[name]) for name in TOOLS}
        self._full = max(env._customer.patience, 1.0)
        self._told: Told | None = None  # what the panel shows already

    def panels(self) -> Sequence[RenderableType]:
        """The customer, and the books as far as tools have shown them, where that has changed."""
        before, self._told = self._told, told(self.env.messages)
        return [self._customer()] if self._told == before else [self._customer(), _books(self._told)]

    def reply(self, command: str, rest: str) -> str:
        """A tool's command as a call."""
        return calls.render(read_command(TOOLS[command], rest))

    def shown(self, message: Message) -> Message:
        """Calls and tools' answers without JSON's marks."""
        if message["role"] == "assistant" and isinstance(call := calls.parse(message["content"]), Call):
            return Message(role="assistant", content=_command(call))
        if message["role"] == "tool" and (data := _data(message)):
            line = _plain(data, ", ")
            content = line if len(line) <= _LINE else _plain(data, "\n")
            return Message(role="tool", name=message.get("name", "shop"), content=content)
        return message

    def _customer(self) -> Panel:
        customer = self.env._customer  # the simulated person; the agent's view has no part in what is shown here
        mood, patience = customer.satisfaction, max(0.0, customer.patience)
        word, style = next((word, style) for top, word, style in _MOODS if mood <= top + 1e-9)
        rows = Table.grid(padding=(0, 1))
        rows.add_column(no_wrap=True)
        rows.add_column(min_width=_BAR, no_wrap=True)
        rows.add_column(overflow="fold")
        rows.add_row("mood", _Bar(mood, style), Text(f"{1 + 4 * mood:.1f} of 5, {word}", style))
        share = min(1.0, patience / self._full)
        waits = "about to leave" if patience < 1 else f"{patience:.1f} of {self._full:g}"
        rows.add_row("patience", _Bar(share, "red" if share < 0.34 else "yellow" if share < 0.67 else "green"), Text(waits))
        over = "has left angrily" if customer.left else "has said goodbye" if customer.settled else ""
        rows.add_row("turn", Text(f"{self.env.turn} of {self.env.max_turns}"), Text(over, "bold"))
        return Panel(rows, title="customer", title_align="left", box=box.ROUNDED)


# Commands.


def read_command(tool: Tool, rest: str) -> Call:
    """A call from what stands behind a command: arguments in their order, the last one to the end of the line, or by name.

    Raises:
        CommandError: when arguments are missing or an amount is no number.
    """
    names, rest = list(tool.parameters), rest.strip()
    by_name = re.compile(rf"(?:^|\s+)({'|'.join(map(re.escape, names))})=") if names else None
    found = list(by_name.finditer(rest)) if by_name else []
    if found and found[0].start() == 0:
        ends = [match.start() for match in found[1:]] + [len(rest)]
        given = {match[1]: rest[match.end() : end].strip() for match, end in zip(found, ends, strict=True)}
    else:
        given = dict(zip(names, rest.split(None, max(0, len(names) - 1)) if rest else (), strict=False))
    given = {name: _unquoted(value) for name, value in given.items()}
    if missing := [name for name in tool.required if not given.get(name)]:
        raise CommandError(f"{' and '.join(missing)} missing: {_usage(tool)}")
    return Call(tool.name, {name: _typed(tool, name, value) for name, value in given.items() if value})


def _typed(tool: Tool, name: str, value: str) -> Any:
    if tool.parameters[name]["type"] != "number":
        return value
    if not re.fullmatch(r"£?\d{1,9}(\.\d{1,2})?", value):
        raise CommandError(f"{name} must be an amount such as 29.00, got {value[:40]!r}: {_usage(tool)}")
    return float(value.removeprefix("£"))


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def _usage(tool: Tool) -> str:
    return " ".join([f"/{tool.name}", *(name if name not in tool.optional else f"[{name}]" for name in tool.parameters)])


def _help(tool: Tool) -> str:
    return f"{_usage(tool):<48} {tool.description}"


def _command(call: Call) -> str:
    """The command that a call could have been typed as."""
    tool = TOOLS.get(call.name)
    if tool and list(call.arguments) == list(tool.parameters)[: len(call.arguments)]:
        return " ".join([f"/{call.name}", *map(_plain, call.arguments.values())])
    return " ".join([f"/{call.name}", *(f"{name}={_plain(value)}" for name, value in call.arguments.items())])


# What tools have told.


@dataclass
class Told:
    """The shop's books as far as tools have shown them.

    Attributes:
        customers: what is known of each, by id; ``"verified"`` where the postcode was right.
        orders: likewise by number; lines by their id.
        notes: tickets and the hand-over.
    """

    customers: dict[str, dict[str, Any]] = field(default_factory=dict)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def told(messages: Messages) -> Told:
    """What the tool messages of a conversation say, later ones over earlier ones."""
    known = Told()
    for message in messages:
        if message["role"] != "tool" or "error" in (data := _data(message)):
            continue
        for found in data.get("customers", ()):
            known.customers.setdefault(str(found["customer_id"]), {}).update(found)
        if "customer_id" in data and "order" not in data:
            known.customers.setdefault(str(data["customer_id"]), {}).update(data)
        if "order" in data:
            order = known.orders.setdefault(str(data["order"]), {"lines": {}})
            for line in data.get("lines", ()):
                order["lines"].setdefault(str(line["line"]), {}).update(line)
            if "line" in data:  # a tool that changed one line
                changed = {name: data[name] for name in ("status", "variant", "refunded") if name in data}
                if "refunded" in data:
                    changed["status"] = "refunded"
                order["lines"].setdefault(str(data["line"]), {}).update(changed)
            else:
                order.update({name: value for name, value in data.items() if name != "lines"})
        if "ticket" in data:
            known.notes.append(f"ticket {data['ticket']} ({data.get('topic', '')})")
        if data.get("handed_over"):
            known.notes.append("handed over to a person")
    return known


def _data(message: Message) -> dict[str, Any]:
    """A tool message's object; empty where it isn't one."""
    try:
        data = json.loads(message["content"])
    except (ValueError, RecursionError):  # an answer can be cut
        return {}
    return data if isinstance(data, dict) else {}


def _books(known: Told) -> Panel:
    rows = Table.grid(padding=(0, 1))
    rows.add_column(overflow="fold")
    for number, who in known.customers.items():
        line = Text()
        line.append(printable(f"{number} {who.get('name', '')}").rstrip(), "bold")
        if "verified" in who:
            line.append(" verified" if who["verified"] else " wrong postcode", "green" if who["verified"] else "red")
        more = [f"{who['tier']}, {who.get('points', 0)} points"] if "tier" in who else []
        more += [f"orders {', '.join(map(str, who['orders']))}"] if who.get("orders") else []
        more += [", ".join(f"{key} {value}" for key, value in who["payments"].items())] if isinstance(who.get("payments"), dict) else []
        line.append(printable("".join(f"; {part}" for part in more)))
        rows.add_row(line)
    for number, order in known.orders.items():
        line = Text(printable(f"order {number} "), "bold")
        if "status" in order:
            line.append(printable(str(order["status"])), _STATUS.get(str(order["status"]), ""))
        when = [f"{name} {order[name]}" for name in ("due", "delivered") if name in order]
        when += [f"{order['days_late']} days late"] if "days_late" in order else []
        when += [f"refunded {order['refunded']}"] if "refunded" in order else []
        line.append(printable("".join(f"; {part}" for part in when)))
        rows.add_row(line)
        for item, data in order["lines"].items():
            parts = [data.get(name, "") for name in ("variant", "price", "status")]
            count = f" x{data['quantity']}" if "quantity" in data else ""
            back = f" ({data['refunded']} paid back)" if "refunded" in data else ""
            rows.add_row(Text(printable(f"  {item}  {parts[0]}{count}  {parts[1]}  {parts[2]}{back}")))
    for note in known.notes:
        rows.add_row(Text(printable(note)))
    empty = not (known.customers or known.orders or known.notes)
    inside = Text("nothing looked up yet; /find_customer, /get_order ...", "dim") if empty else rows
    return Panel(inside, title="orders", title_align="left", box=box.ROUNDED)


@dataclass(frozen=True)
class _Bar:
    """A bar; blocks where the terminal has them."""

    share: float
    style: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        full = round(min(1.0, max(0.0, self.share)) * _BAR)
        on, off = ("#", "-") if options.ascii_only else ("\N{FULL BLOCK}", "\N{LIGHT SHADE}")
        yield Text(on * full, self.style, end="") + Text(off * (_BAR - full), "dim")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(_BAR, _BAR)


def _plain(value: Any, between: str = " ", depth: int = 0) -> str:
    """JSON as a person would jot it down."""
    if isinstance(value, Mapping) and value and depth < _DEEP:
        inner = ", " if between == "\n" else " "
        return between.join(f"{key}: {_plain(item, inner, depth + 1)}" for key, item in value.items())
    if isinstance(value, list) and value and depth < _DEEP:
        joint = "; " if any(isinstance(item, Mapping | list) for item in value) else ", "
        return joint.join(_plain(item, " ", depth + 1) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value in ({}, [], None) else str(value)
