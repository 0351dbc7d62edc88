"""The shop's tools: what an agent can look up and do.

Tools refuse what can't be (an unknown order, a sold-out variant, a second cancellation), not what mustn't be: a refund after
the return window goes through, and :mod:`rules` record it. No call raises; errors are results.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from lm_envs.envs.customer_service import operations
from lm_envs.envs.customer_service.calls import Call
from lm_envs.envs.customer_service.operations import Data, ToolError
from lm_envs.envs.customer_service.shop import TOPICS, Shop

Kind = Literal["READ", "WRITE"]

MAX_TEXT = 300  # characters of an argument


@dataclass(frozen=True)
class ToolResult:
    """What a call brought.

    Attributes:
        ok: whether it was carried out.
        content: the answer as compact JSON.
        name: the tool's name, as called.
        kind: ``"READ"`` or ``"WRITE"``; ``"READ"`` for an unknown tool.
        arguments: as the tool understood them: all text, amounts in whole pence; empty when they were refused.
        data: the answer.
    """

    ok: bool
    content: str
    name: str
    kind: Kind
    arguments: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Tool:
    """A tool.

    Attributes:
        name: what it is called by.
        kind: whether it only looks (``"READ"``) or changes the shop's books (``"WRITE"``).
        description: one sentence.
        parameters: names and schemas.
        run: does it; gets arguments that fit the schemas.
        optional: parameters that may be left out.
    """

    name: str
    kind: Kind
    description: str
    parameters: Mapping[str, Mapping[str, Any]]
    run: Callable[[Shop, Mapping[str, Any]], Data]
    optional: frozenset[str] = frozenset()

    @property
    def required(self) -> list[str]:
        """Parameters that must be given."""
        return [name for name in self.parameters if name not in self.optional]

    @property
    def schema(self) -> Data:
        """The tool in the form that chat templates and APIs take."""
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": {
                    "type": "object",
                    "properties": {name: dict(schema) for name, schema in self.parameters.items()},
                    "required": self.required,
                },
            },
        }

    @property
    def signature(self) -> str:
        """The tool in one short line, without what may be left out: ``get_order(order_id)``."""
        return f"{self.name}({', '.join(self.required)})"


def schemas(names: Iterable[str] | None = None) -> list[Data]:
    """All tools, or some, as ``tokenizer.apply_chat_template(tools=...)`` and chat APIs take them."""
    return [TOOLS[name].schema for name in (TOOLS if names is None else names)]


class Toolbox:
    """The tools of one shop.

    Args:
        shop: the books that WRITE tools change.
        names: tools that there are; by default all.
    """

    def __init__(self, shop: Shop, names: Iterable[str] | None = None) -> None:
        self.shop = shop
        self.tools = {name: TOOLS[name] for name in names} if names is not None else TOOLS

    def call(self, call: Call) -> ToolResult:
        """Carry out a call. Errors are results, and leave the books as they are."""
        tool = self.tools.get(call.name)
        if tool is None:
            return _failed(call.name[:MAX_TEXT], "READ", f"no such tool; tools: {', '.join(self.tools)}")
        try:
            arguments = _fit(tool, call.arguments)
        except ToolError as error:
            return _failed(tool.name, tool.kind, str(error))
        try:
            data = tool.run(self.shop, arguments)
        except ToolError as error:
            return _failed(tool.name, tool.kind, str(error), arguments)
        return ToolResult(True, _json(data), tool.name, tool.kind, arguments, data)


def _failed(name: str, kind: Kind, error: str, arguments: Mapping[str, Any] | None = None) -> ToolResult:
    data = {"error": error}
    return ToolResult(False, _json(data), name, kind, arguments or {}, data)


_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _fit(tool: Tool, given: Mapping[str, Any]) -> Data:
    """Arguments as the tool's schemas want them: 4411 for "4411", "25.0" for 25."""
    if unknown := [name for name in given if name not in tool.parameters]:
        raise ToolError(f"unknown argument {unknown[0][:40]}; {tool.signature}")
    if missing := [name for name in tool.required if name not in given]:
        raise ToolError(f"missing argument {missing[0]}; {tool.signature}")
    return {name: _fit_one(name, schema, given[name]) for name, schema in tool.parameters.items() if name in given}


def _fit_one(name: str, schema: Mapping[str, Any], value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ToolError(f"{name} must be a {schema['type']}")
    if schema["type"] == "number":
        return _pence(name, value)
    text = " ".join(str(int(value) if isinstance(value, float) and value.is_integer() else value).split())
    if not text or len(text) > MAX_TEXT:
        raise ToolError(f"{name} must have 1 to {MAX_TEXT} characters")
    if name == "order_id":
        text = text.removeprefix("#")
    if "enum" in schema and text not in schema["enum"]:
        raise ToolError(f"{name} must be one of {', '.join(schema['enum'])}")
    return text


def _pence(name: str, value: str | int | float) -> int:
    text = str(value).strip().removeprefix("£")
    try:
        if len(text) > 12:
            raise InvalidOperation
        pence = Decimal(text) * 100
        if not pence.is_finite() or pence != int(pence) or not 0 < pence < 10**9:
            raise InvalidOperation
    except (InvalidOperation, ValueError):
        raise ToolError(f"{name} must be an amount such as 29.00") from None
    return int(pence)


def _text(description: str, **more: Any) -> Data:
    return {"type": "string", "description": description, **more}


_OPTIONAL = frozenset(("reason", "summary"))  # notes that change nothing


def _tool(kind: Kind, run: Callable[[Shop, Mapping[str, Any]], Data], **parameters: Mapping[str, Any]) -> Tool:
    return Tool(run.__name__, kind, run.__doc__ or "", parameters, run, frozenset(parameters) & _OPTIONAL)


_CUSTOMER, _ORDER, _LINE, _WHY = _text("such as C17"), _text("order number"), _text("line, such as 1"), _text("why, in a few words")

TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        _tool("READ", operations.find_customer, query=_text("name, e-mail or order number")),
        _tool("READ", operations.authenticate, customer_id=_CUSTOMER, postcode=_text("as the customer gave it")),
        _tool("READ", operations.get_customer, customer_id=_CUSTOMER),
        _tool("READ", operations.get_order, order_id=_ORDER),
        _tool("READ", operations.get_product, product_id=_text("product or variant, such as kettle")),
        _tool("READ", operations.get_article, article_id=_text("such as KB-1")),
        _tool("READ", operations.search_articles, query=_text("a few words")),
        _tool("WRITE", operations.cancel_order, order_id=_ORDER, reason=_WHY),
        _tool("WRITE", operations.return_item, order_id=_ORDER, line_id=_LINE),
        _tool("WRITE", operations.refund, order_id=_ORDER, line_id=_LINE, amount={"type": "number", "description": "pounds"}),
        _tool("WRITE", operations.exchange_item, order_id=_ORDER, line_id=_LINE, variant_id=_text("such as kettle-red")),
        _tool("WRITE", operations.change_address, order_id=_ORDER, address=_text("the whole new address")),
        _tool("WRITE", operations.change_payment, order_id=_ORDER, payment_id=_text("such as P2")),
        _tool("WRITE", operations.open_ticket, topic=_text("department", enum=list(TOPICS)), summary=_text("one sentence")),
        _tool("WRITE", operations.hand_over, reason=_WHY),
    )
}
OPERATION_TOOLS: dict[str, str] = {
    "cancel": "cancel_order",
    "return": "return_item",
    "refund": "refund",
    "exchange": "exchange_item",
    "address": "change_address",
    "payment": "change_payment",
    "ticket": "open_ticket",
    "handover": "hand_over",
}
"""The tool that carries out each of ``acts.OPERATIONS``."""

OPERATION_OF: dict[str, str] = {tool: operation for operation, tool in OPERATION_TOOLS.items()}
"""The reverse of :data:`OPERATION_TOOLS`."""
