"""The gold script of a scenario, what mustn't be changed about it, and what may.

    cases(env, seed)  ->  "gold", the expert's replies; "mutation: an effect is missing"; "variation: an extra lookup"; ...

Mutations must fail and variations succeed, replayed word for word: `python -m lm_envs validate lm_envs/CustomerService-v0 --gold`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from lm_envs.envs.customer_service import expert
from lm_envs.envs.customer_service.calls import Call, render
from lm_envs.envs.customer_service.expert import Move, Say
from lm_envs.envs.customer_service.goals import FREE_TEXT
from lm_envs.envs.customer_service.shop import ORDER_STATUSES, TIERS, TOPICS, Shop
from lm_envs.envs.customer_service.tools import TOOLS
from lm_envs.types import Split
from lm_envs.validation import GoldCase

if TYPE_CHECKING:
    from lm_envs.envs.customer_service.env import CustomerServiceEnv

ELSEWHERE = "1 Nowhere Road, Leeds LS1 1AA"


@dataclass(frozen=True)
class Script:
    """What the expert does in a scenario, and how.

    Attributes:
        moves: its calls and texts.
        replies: the same in words.
        shop: the books at first.
    """

    moves: tuple[Move, ...]
    replies: tuple[str, ...]
    shop: Shop


def script(env: CustomerServiceEnv, seed: int) -> Script:
    """Let the expert play a seed's scenario."""
    env.reset(seed=seed)
    shop = env.scenario.shop.copy()
    moves, replies = [], []
    over = False
    while not over:
        moves.append(env.expert_move())
        replies.append(env.expert_reply())
        _, _, terminated, truncated, _ = env.step(replies[-1])
        over = terminated or truncated
    return Script(tuple(moves), tuple(replies), shop)


def cases(env: CustomerServiceEnv, seed: int) -> Iterator[GoldCase]:
    """A seed's gold script, its mutations and its harmless variations."""
    gold = script(env, seed)
    wording, split = env.scenario.wording, env.split

    def words(changes: Mapping[int, Move | None]) -> tuple[str, ...]:
        moves = {index: changes.get(index, move) for index, move in enumerate(gold.moves)}
        return tuple(
            gold.replies[index] if move is gold.moves[index] else expert.say(move, (wording, index), split)
            for index, move in moves.items()
            if move is not None
        )

    yield GoldCase("gold", "the expert's replies", gold.replies)
    yield GoldCase("no-op", "no reply", ())
    yield GoldCase("no-op", "thanks and nothing else", ("Thank you for writing to us.",) * env.max_turns)
    for name, changes in _mutations(gold):
        yield GoldCase("mutation", name, words(changes))
    if (hasty := _writes_first(gold)) is not None:
        yield GoldCase("mutation", "changes before authentication", hasty)
    yield from (GoldCase("variation", name, replies) for name, replies in _variations(gold, wording, split))


# What must fail.


def _mutations(gold: Script) -> Iterator[tuple[str, Mapping[int, Move | None]]]:
    """Changes of moves by place, ``None`` for leaving it out."""
    for index, move in enumerate(gold.moves):
        if isinstance(move, Call) and _writes(move):
            yield "an effect is missing", {index: None}
            for argument, value in _other_arguments(move, gold.shop):
                yield f"another {argument}", {index: Call(move.name, {**move.arguments, argument: value})}
    proofs = [index for index, move in enumerate(gold.moves) if isinstance(move, Call) and move.name == "authenticate"]
    if proofs and any(isinstance(move, Call) and _writes(move) and move.name not in ("open_ticket", "hand_over") for move in gold.moves):
        yield "no authentication", dict.fromkeys(proofs)
    told = {move.need for move in gold.moves if isinstance(move, Say) and move.need >= 0}
    for need in sorted(told):
        statements = {index: move for index, move in enumerate(gold.moves) if isinstance(move, Say) and move.need == need}
        yield "an outcome isn't told", dict.fromkeys(statements)
        for kind in sorted({kind for move in statements.values() for kind, _ in move.tells}):
            yield f"a false {kind}", {index: _misstated(move, kind, gold.shop) for index, move in statements.items()}


def _writes_first(gold: Script) -> tuple[str, ...] | None:
    """The replies with all changes to accounts at the beginning; ``None`` if there are none."""
    early = [reply for move, reply in zip(gold.moves, gold.replies, strict=True) if isinstance(move, Call) and _on_account(move)]
    late = [reply for move, reply in zip(gold.moves, gold.replies, strict=True) if not (isinstance(move, Call) and _on_account(move))]
    return (*early, *late) if early else None


def _writes(call: Call) -> bool:
    return TOOLS[call.name].kind == "WRITE"


def _on_account(call: Call) -> bool:
    return _writes(call) and call.name not in ("open_ticket", "hand_over")


def _other_arguments(call: Call, shop: Shop) -> Iterator[tuple[str, Any]]:
    """For each argument that matters, another value."""
    order = shop.orders.get(str(call.arguments.get("order_id", "")))
    for name, value in call.arguments.items():
        if name in FREE_TEXT:
            continue
        if name == "order_id":
            yield name, next((number for number in shop.orders if number != value), "1000")
        elif name == "line_id":
            assert order is not None
            yield name, next((line.id for line in order.lines if line.id != value), "9")
        elif name == "amount":
            yield name, f"{float(value) - 0.5:.2f}"
            yield name, f"{float(value) + 1:.2f}"
        elif name == "variant_id":
            variants = shop.catalogue.product_of[value].variants
            yield name, next(variant.id for variant in variants if variant.id != value)
        elif name == "address":
            yield name, ELSEWHERE
        elif name == "payment_id":
            assert order is not None
            yield name, order.payment
        elif name == "topic":
            yield name, next(topic for topic in TOPICS if topic != value)


def _misstated(move: Say, kind: str, shop: Shop) -> Say:
    """A text with another value of one kind of fact."""
    slots = dict(move.slots)
    if kind == "reason":
        told = next(value for fact, value in move.tells if fact == "reason")
        false = "final_sale" if told != "final_sale" else "warranty"
        return replace(move, acts=tuple(f"because_{false}" if act == f"because_{told}" else act for act in move.acts))
    if kind == "amount":
        slots["amount"] = f"£{float(slots['amount'].removeprefix('£')) + 1:.2f}"
    elif kind == "date":
        number, rest = slots["date"].split(" ", 1)
        slots["date"] = f"{int(number) % 28 + 1} {rest}"
    elif kind == "status":
        slots["status"] = next(status for status in ORDER_STATUSES[:3] if status != slots["status"])
    elif kind == "tier":
        slots["tier"] = next(tier for tier in TIERS if tier != slots["tier"])
    elif kind == "points":
        slots["points"] = str(int(slots["points"]) + 17)
    elif kind == "order":
        slots["order"] = next((number for number in shop.orders if number != slots["order"]), "1000")
    elif kind == "article":
        other = next(article for article in shop.catalogue.articles.values() if article.id != slots["article"])
        slots |= {"article": other.id, "steps": other.steps[0]}
    if kind == "status" and "inform_delivered" in move.acts or "inform_coming_late" in move.acts:
        return replace(move, acts=("inform_coming",), slots=slots)
    return replace(move, slots=slots)


# What must succeed.


def _variations(gold: Script, wording: int, split: Split) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Other replies that are as good."""
    yield "an extra lookup at first", (render(Call("get_article", {"article_id": "KB-1"})), *gold.replies)
    called = [(index, move) for index, move in enumerate(gold.moves) if isinstance(move, Call)]
    if called and not _writes(called[-1][1]):
        last = called[-1][0]
        yield "a lookup made twice", (*gold.replies[: last + 1], *gold.replies[last:])
    yield "other words", _worded(gold.moves, wording + 1, split)
    yield "hermes form", _worded(gold.moves, wording, split, "hermes")
    if any(isinstance(move, Call) and "amount" in move.arguments for move in gold.moves):
        for form in (float, lambda amount: f"{float(amount):.1f}", lambda amount: f"£{amount}"):
            spelt = tuple(_spelt(move, form) for move in gold.moves)
            yield "amounts spelt otherwise", _worded(spelt, wording, split)
    numbers = tuple(
        Call(move.name, {**move.arguments, "order_id": int(move.arguments["order_id"])})
        if isinstance(move, Call) and "order_id" in move.arguments
        else move
        for move in gold.moves
    )
    yield "order numbers as numbers", _worded(numbers, wording, split)


def _spelt(move: Move, form: Callable[[str], Any]) -> Move:
    if not isinstance(move, Call) or "amount" not in move.arguments:
        return move
    return Call(move.name, {**move.arguments, "amount": form(move.arguments["amount"])})


def _worded(moves: Iterable[Move], wording: int, split: Split, style: Literal["json", "hermes"] = "json") -> tuple[str, ...]:
    return tuple(expert.say(move, (wording, index), split, style) for index, move in enumerate(moves))
