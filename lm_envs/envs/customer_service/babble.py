"""A speaker who knows nothing: random calls, random acts with random facts, and noise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from lm_envs.envs.customer_service.calls import Call, render
from lm_envs.envs.customer_service.catalogue import catalogue, money
from lm_envs.envs.customer_service.draft import pounds
from lm_envs.envs.customer_service.expert import templates
from lm_envs.envs.customer_service.shop import MONTHS
from lm_envs.envs.customer_service.tools import TOOLS

_ADDRESS = "5 Mill Lane, Leeds LS1 4AB"


def random_reply(rng: np.random.Generator) -> str:
    """A call with random arguments, one or two acts of a service agent with random facts, or, one time in six, something without form."""
    draw = rng.random()
    if draw < 0.4:
        return render(random_call(rng))
    text = _babble(rng)
    if draw < 0.85:
        return text
    words = text.split()
    forms = ("", " ".join(words[: int(rng.integers(1, len(words) + 1))]), text.upper(), f"{text} {text}", render(random_call(rng))[:-2])
    return forms[int(rng.integers(len(forms)))]


def random_call(rng: np.random.Generator) -> Call:
    """A call of a tool with arguments of the right kind."""
    tool = _pick(rng, tuple(TOOLS.values()))
    number = str(int(rng.integers(1000, 10_000)))
    product = _pick(rng, tuple(catalogue().products))
    values: dict[str, Any] = {
        "query": number,
        "customer_id": f"C{int(rng.integers(11, 99))}",
        "postcode": "LN4 2QA",
        "order_id": number,
        "product_id": product,
        "article_id": f"KB-{int(rng.integers(1, 35))}",
        "reason": "customer's wish",
        "line_id": "1",
        "amount": money(int(rng.integers(1, 60)) * 100),
        "variant_id": _pick(rng, catalogue().products[product].variants).id,
        "address": _ADDRESS,
        "payment_id": "P1",
        "topic": "other",
        "summary": "a question",
    }
    return Call(tool.name, {name: values[name] for name in tool.parameters})


def _babble(rng: np.random.Generator) -> str:
    words = templates()
    product = _pick(rng, tuple(catalogue().products.values()))
    slots = {
        "order": str(int(rng.integers(1000, 10_000))),
        "product": product.name,
        "variant": product.variants[0].label,
        "amount": pounds(product.variants[0].price),
        "date": f"{int(rng.integers(1, 29))} {_pick(rng, MONTHS)}",
        "address": _ADDRESS,
        "payment": "bank account",
        "status": "shipped",
        "tier": "silver",
        "points": "120",
        "article": f"KB-{int(rng.integers(1, 35))}",
        "steps": "Switch it off and on again.",
        "window": "30",
        "lost": "7",
    }
    acts = [_pick(rng, tuple(words)) for _ in range(int(rng.integers(1, 3)))]
    return " ".join(_pick(rng, words[act]["train"]).format_map(slots) for act in acts)


def _pick(rng: np.random.Generator, choices: Iterable[Any]) -> Any:
    options = tuple(choices)
    return options[int(rng.integers(len(options)))]
