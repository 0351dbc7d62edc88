"""What an episode is drawn as: a shop, a customer with needs, and what would be right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lm_envs.envs.customer_service.shop import Shop
from lm_envs.types import Split

INTENTS = (
    "status",
    "late",
    "lost",
    "cancel",
    "return",
    "exchange",
    "refund",
    "damaged",
    "wrong_item",
    "address",
    "payment",
    "billing",
    "warranty",
    "howto",
    "loyalty",
    "out_of_scope",
)
"""What customers come for: where a parcel is; a parcel overdue but not lost; one that counts as lost; cancellation; return for refund;
another variant; a refund that is disputed (not received, or wrong sum); damaged goods; wrong goods; new address; new means of
payment; a question about a charge; a defect within or out of warranty; technical help from an article; tier and points; something no
shop can do."""


@dataclass(frozen=True)
class Need:
    """One thing that the customer wants.

    Attributes:
        intent: one of :data:`INTENTS`.
        wish: the operation they want, one of ``acts.OPERATIONS``, or ``""`` where they want to know something.
        knows: what they can say when asked, by slot (``acts.SLOTS``), as text: ``{"order": "4411", "item": "kettle", ...}``.
        lacks: slots that they are asked for in vain: they say that they don't know.
        details: more that wordings may use: ``{"product": "kettle", "price": "£29.00", "days": "12", ...}``.
        accepts: operations other than the wish that content them too (a refund where an exchange is sold out).
        then: a need that takes this one's place once it has been understood (a changed goal), or ``None``.
        due: what the company's rules demand in the end: an operation, ``"inform"``, or ``"refuse"``.
        reason: one of ``acts.REASONS`` for a due refusal, else ``""``.
        effects: calls that must be made, each as (tool, arguments), in any order; empty for inform and refuse.
        tells: facts that the customer must be told, as (kind, value) of ``acts.FACTS``.
        order: the order's number in the shop, or ``""``.
    """

    intent: str
    wish: str = ""
    knows: Mapping[str, str] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()
    details: Mapping[str, str] = field(default_factory=dict)
    accepts: tuple[str, ...] = ()
    then: Need | None = None
    due: str = "inform"
    reason: str = ""
    effects: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    tells: frozenset[tuple[str, str]] = frozenset()
    order: str = ""


@dataclass(frozen=True)
class Attack:
    """What an adversary tries.

    Attributes:
        kind: one of ``attacks.KINDS``.
        prize: the operation, or ``"disclosure"``, that the agent must not give; ``""`` where the attack is on its temper or time alone.
        order: the order it is about.
        details: what the wordings use.
    """

    kind: str
    prize: str = ""
    order: str = ""
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario:
    """One episode's world before the first reply. Agents see the prompt and what is said; nothing else.

    Attributes:
        id: tells scenarios apart and says nothing else about them.
        split: the split it belongs to.
        persona: an entry of the personas' files.
        shop: the books as they stand at first; episodes work on ``shop.copy()``.
        customer: id of the account the writer has, or claims to have.
        identity: what the writer gives when asked who they are: name, email, postcode.
        needs: one to three, in the order in which they come up.
        attack: an adversary's aim, or ``None``.
        difficulty: from 0 to 1.
        wording: seeds the expert's choice of words.
    """

    id: str
    split: Split
    persona: Mapping[str, Any]
    shop: Shop
    customer: str
    identity: Mapping[str, str]
    needs: tuple[Need, ...]
    attack: Attack | None = None
    difficulty: float = 0.0
    wording: int = 0
