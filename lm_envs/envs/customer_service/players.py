"""The scripted expert, who knows the scenario, and a speaker who knows nothing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lm_envs.envs.customer_service.data import load
from lm_envs.envs.customer_service.desk import Desk
from lm_envs.envs.customer_service.generator import Scenario, pick, random_date

_TROUBLE = ("late", "damaged", "wrong_item")
_TOGETHER: dict[tuple[str, ...], str] = {("problem", "order"): "ask_order_problem", ("order", "postcode"): "ask_order_postcode"}


def expert_reply(scenario: Scenario, desk: Desk, turn: int) -> str:
    """What an agent that knows the solution says next: ask for what is missing, one or two things at a time, then solve.

    Args:
        scenario: the world, solution included.
        desk: what is known so far.
        turn: replies given before; with the scenario it decides the wording.
    """
    rng = np.random.default_rng((scenario.wording, turn))
    acts = _manners(scenario, turn, rng)
    missing = tuple(detail for detail in scenario.needed if detail not in desk.known)
    if not missing:
        acts.append(_solution(scenario))
    elif missing[:2] in _TOGETHER and rng.random() < 0.5:
        acts.append(_TOGETHER[missing[:2]])
    elif missing[0] == "evidence":
        acts.append("ask_damage" if scenario.intent == "damaged" else "ask_received")
    else:
        acts.append(f"ask_{missing[0]}")
    return say(acts, scenario.slots, rng)


def random_reply(rng: np.random.Generator) -> str:
    """One or two acts of a service agent with random facts, or, one time in five, something without form."""
    slots = _random_slots(rng)
    templates = load("agent")
    text = say([pick(rng, list(templates)) for _ in range(int(rng.integers(1, 3)))], slots, rng)
    if rng.random() < 0.8:
        return text
    words = text.split()
    return pick(
        rng,
        [
            "",
            " ".join(words[: int(rng.integers(1, len(words) + 1))]),  # cut off
            " ".join(pick(rng, words) for _ in range(int(rng.integers(2, 9)))),  # word salad
            text.upper(),
            f"{text} {text}",
        ],
    )


def say(acts: list[str], slots: Mapping[str, str], rng: np.random.Generator) -> str:
    """Word a list of acts from `agent.json`."""
    templates = load("agent")
    return " ".join(pick(rng, templates[act]).format_map(slots) for act in acts)


def _manners(scenario: Scenario, turn: int, rng: np.random.Generator) -> list[str]:
    if turn == 0:
        if scenario.intent in _TROUBLE and not scenario.vague:
            return ["empathise"]
        return ["greet"] if rng.random() < 0.5 else []
    if turn == 1 and scenario.intent in _TROUBLE and scenario.vague:
        return ["empathise"]
    return ["thank"] if rng.random() < 0.3 else []


def _solution(scenario: Scenario) -> str:
    remedy = scenario.remedy
    if remedy == "replacement" and scenario.intent in ("late", "exchange"):
        return "resend" if scenario.intent == "late" else "exchange"
    return remedy


def _random_slots(rng: np.random.Generator) -> dict[str, str]:
    data = load("shop")
    product = pick(rng, data["products"])
    day, month = random_date(rng)
    return {
        "item": product["name"],
        "price": f"£{product['price']}",
        "date": f"{day} {month}",
        "window": str(pick(rng, data["windows"])),
        "shop": pick(rng, data["names"]),
    }
