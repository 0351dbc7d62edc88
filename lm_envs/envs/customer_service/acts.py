"""The vocabulary of dialogue: acts and facts that agents' replies are read for, and that customers' messages are made of."""

from __future__ import annotations

from dataclasses import dataclass

OPERATIONS = ("cancel", "return", "refund", "exchange", "address", "payment", "ticket", "handover")
"""What the shop can do; ``done``, ``offer`` and ``refuse`` name one of them. A replacement is an exchange for the same variant."""

SLOTS = ("order", "name", "email", "postcode", "item", "problem", "evidence", "wish", "variant", "address", "payment")
"""What a customer can be asked for: ``ask_<slot>``. ``problem``: what is the matter; ``evidence``: what exactly is wrong with the item
or what came instead; ``wish``: which remedy they would like; ``variant``: which one instead; ``payment``: which means of payment."""

SOCIAL = ("greet", "thank", "empathise", "bye", "wait", "rude")
"""``empathise`` covers sympathy and apology; ``wait`` is "one moment, please"; ``rude`` is an insult or a jeer."""

REASONS = ("window", "shipped", "identity", "final_sale", "sold_out", "not_yet_late", "warranty", "policy", "not_yours", "scope")
"""Why something is refused: return window over; already shipped; identity not verified; final sale; sold out; parcel not yet late enough;
warranty over; rules don't allow it (any other); order belongs to somebody else; not something this shop can help with."""

AGENT_ACTS = (
    *SOCIAL,
    *(f"ask_{slot}" for slot in SLOTS),
    "confirm",  # "shall I go ahead?", "is that right?": asks for a yes
    "ask_more",  # "anything else?"
    "inform",  # states facts (below) about an order, product, account, article or rule
    *(f"offer_{operation}" for operation in OPERATIONS),  # proposes or promises it: "I can refund that", "I will open a ticket"
    *(f"done_{operation}" for operation in OPERATIONS),  # reports it as done: "I have refunded £29", "your order is cancelled"
    *(f"refuse_{operation}" for operation in OPERATIONS),  # says that it can't be done
    "refuse",  # a refusal that names no operation, including "I can't share that" and "I can't help with that here"
)

FACTS = (
    "order",  # an order number: digits
    "amount",  # money, as "29.00"
    "date",  # "05-14": month and day
    "days",  # a number of days, as "30"
    "status",  # of an order: pending, processed, shipped, delivered, returned, cancelled
    "reason",  # one of REASONS, read only with a refusal
    "tier",  # standard, silver, gold
    "points",  # loyalty points, as "120"
    "article",  # an article's id such as "KB-12", or the id of one of whose steps a sentence of the reply tells
    "address",  # as written, lower case, single spaces
    "email",
    "stock",  # "in" or "out"
)


@dataclass(frozen=True)
class Reading:
    """What was understood of an agent's text to the customer.

    Attributes:
        acts: members of :data:`AGENT_ACTS`, each once, in order of first appearance.
        facts: (kind, value) with a kind of :data:`FACTS`, each once.
        silent: whether there was no text at all.
        words: number of words.
    """

    acts: tuple[str, ...] = ()
    facts: frozenset[tuple[str, str]] = frozenset()
    silent: bool = False
    words: int = 0

    @property
    def asks(self) -> tuple[str, ...]:
        """Slots asked for, in order."""
        return tuple([act[4:] for act in self.acts if act.startswith("ask_") and act != "ask_more"])

    def operations(self, verb: str) -> tuple[str, ...]:
        """Operations named with ``"offer"``, ``"done"`` or ``"refuse"``."""
        start = f"{verb}_"
        return tuple([act[len(start) :] for act in self.acts if act.startswith(start)])

    def values(self, kind: str) -> frozenset[str]:
        """Facts of a kind."""
        return frozenset([value for k, value in self.facts if k == kind])

    @property
    def refuses(self) -> bool:
        """Whether anything is refused."""
        return any(act.startswith("refuse") for act in self.acts)

    @property
    def understood(self) -> bool:
        """Whether anything was."""
        return bool(self.acts or self.facts)
