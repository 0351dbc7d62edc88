"""`CustomerServiceEnv`: solve a customer's order problem by talking.

system: You answer customers of Brightwell. Rules: get the order number first, ...
user: Hello! My kettle arrived damaged.
> step("I'm sorry to hear that. Could you give me your order number and postcode?")
user: Sure. It's 4411. My postcode is LN4 2QA.
tool shop: Order 4411, Mia: kettle, £29, delivered 3 days ago, in stock. Postcode matches.
> step("Thank you. What exactly is damaged?")
user: Well, the lid is cracked.
> step("We will replace the kettle.")
tool shop: Done: kettle sent again.
user: Perfect, thanks a lot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lm_envs.core import Opening, Response, TextEnv, one_of
from lm_envs.envs.customer_service import players, scoring
from lm_envs.envs.customer_service.customer import SimulatedCustomer
from lm_envs.envs.customer_service.desk import Desk
from lm_envs.envs.customer_service.generator import generate
from lm_envs.envs.customer_service.rules import INTENTS
from lm_envs.envs.customer_service.understanding import hear
from lm_envs.types import Message


class CustomerServiceEnv(TextEnv):
    """Solve a customer's order problem by talking.

    ## Description
    The agent answers for a shop. A customer writes about one of eight matters (where a parcel is, a late parcel, a damaged or a wrong
    item, a refund, an exchange, a cancellation, a new address) and gives the order number, the postcode, what exactly is wrong or
    the new address only when asked; about every second one names not even the problem. The agent finds out what is needed, shows by
    the postcode that it is the customer, and does what the company's rules say, which is in some cases to refuse, politely and with the
    reason, or to hand over to a colleague. What it says happens: "I will refund you £29" refunds £29 in the shop's books, if the shop's
    system lets it pass. Rules differ between shops (days for returns, days until a late parcel counts as lost).

    Customers have moods and patience. They lose them over questions they have answered, turns that lead nowhere, rude, long or
    repeated replies, contradictions and wrong refusals, the touchy ones faster; sympathy and sensible questions please them. The pushy
    ones ask for an exception when they are refused. They answer two questions a message, not more. Replies are read by
    patterns (``understanding.py`` says how and how far); only their first 1,000 characters.

    The splits share no persona, no wording of customer or rules, and no pair of matter and product.

    ## Observation
    A ``Conversation``. It opens with a system message (the rules) and the customer's message. Messages of the tool "shop" show the order's
    record when the number is known, whether the postcode matches, and what became of the agent's promises.

    ## Action
    An ``Utterance``: what the agent says next. There are no tool calls.

    ## Reward
    ``reward="customer_service"``: ``0.95 * progress + 0.15 * satisfaction + 0.01 * efficiency + 0.1 * violation``, range
    [-0.36, 1.1] a turn and [-0.5, 1.05] an episode. Signals:

    - ``progress``: growth of ``0.3 * details_collected + 0.7 * success``, in [0, 1].
    - ``satisfaction``: change of the customer's satisfaction, in [-1, 1].
    - ``efficiency``: 0 when the customer gave a new detail, took a refusal or an answer; else -1.
    - ``violation``: minus the number of rules broken, in [-2, 0].

    A rule is broken by an operation before order number, problem and postcode are known or with a postcode that does not match; a
    replacement without asking what is wrong, or of what is sold out; a change after shipping; a refund or exchange outside the window; an
    operation other than the due one; several decisions in one reply; a refusal without grounds; a false date, sum or reason.

    ## Termination
    When the customer takes the solution or leaves; after a hand-over; when something was carried out wrongly or a question was answered
    wrongly; at the second broken rule (a supervisor takes over); after ``max_turns`` replies, as a failure.

    ## Truncation
    When another reply might not fit into ``max_chars``; never by default.

    ## Info
    ``scenario``: an id that says nothing but the split. ``rewards``: the reward's components, after a reply. ``metrics``: ground truth:

    - ``success``: 1 if the books are as the rules want them, the customer was told what they should be, with nothing false about it, and
      left it at that; else 0.
    - ``satisfaction``: the customer's, in [0, 1].
    - ``violations``: rules broken so far.
    - ``details_collected``: share of the needed details that the customer has given, in [0, 1].
    - ``left``: 1 if the customer walked away.
    - ``turns``: replies given.

    Scores (mean return, standard deviation, success; 1,000 episodes of seeds 0 to 999 each):

    | player | train | test |
    |---|---|---|
    | scripted expert | 0.995 ± 0.011, 100 % | 0.996 ± 0.011, 100 % |
    | random replies | -0.117 ± 0.167, 1 % | -0.119 ± 0.164, 1 % |
    | no reply | -0.095 ± 0.014, 0 % | -0.094 ± 0.016, 0 % |

    What does not pay (``tests`` hold it down): promising everything at once, -0.27; refusing at once, -0.27; asking everything in
    every reply, 0.12; polite words alone, -0.10; asking well, then always replacing and else refunding, 0.28. What
    remains: a wrong guess that the system blocks costs 0.1 and may be put right, so looking things up by trying is dear
    but possible; promises on condition ("once I have your postcode I will refund you") are not held against the agent; grammar, tone beyond
    rude words, and anything that no pattern catches are not judged.

    ## Arguments
    - ``intents``: what customers may come for, a sequence of "status", "late", "damaged", "wrong_item", "refund", "exchange", "cancel",
      "address"; by default all, evenly.
    - ``split``, ``reward``, ``max_turns`` (default 8; the expert needs up to 6), ``max_reply_chars``, ``max_chars``, ``render_mode``: see
      ``TextEnv``.

    ``reset`` takes no options.

    ## Version history
    - v0: first version.
    """

    default_reward = "customer_service"

    def __init__(self, *, intents: Sequence[str] = INTENTS, **arguments: Any) -> None:
        if isinstance(intents, str) or not intents:
            raise ValueError(f"intents must be a non-empty sequence of {', '.join(INTENTS)}; got {intents!r}")
        self.intents = tuple(one_of("intents", intent, INTENTS) for intent in intents)
        super().__init__(**arguments)

    def open(self, options: Mapping[str, Any]) -> Opening:
        """Draw a customer; `reset` knows no options."""
        if options:
            raise ValueError(f"CustomerServiceEnv.reset knows no options; got {', '.join(sorted(map(repr, options)))}")
        scenario = generate(self.np_random, self.split, self.intents)
        self._world = scenario
        self._desk = Desk(scenario)
        self._customer = SimulatedCustomer(scenario, self.np_random)
        self._truth = scoring.metrics(scenario, self._desk, self._customer)
        return Opening(
            messages=(Message(role="system", content=scenario.prompt), Message(role="user", content=self._customer.opening())),
            scenario={"id": scenario.id, "intent": scenario.intent, "remedy": scenario.remedy},
            metrics=self._truth,
        )

    def respond(self, reply: str) -> Response:
        """Let the shop and then the customer take in a reply."""
        heard = hear(reply)
        outcome = self._desk.judge(heard)
        taken_over = self._desk.supervised and not outcome.final
        reaction = self._customer.react(heard, outcome, over=taken_over)
        shown = self._desk.learn(reaction.disclosed)
        before, self._truth = self._truth, scoring.metrics(self._world, self._desk, self._customer)
        return Response(
            messages=tuple(
                message
                for message in (_notice(outcome.notices), Message(role="user", content=reaction.text), _notice(shown))
                if message["content"]
            ),
            terminated=outcome.final or taken_over or self._customer.settled or self._customer.left,
            metrics=self._truth,
            signals=scoring.signals(before, self._truth, reaction.useful),
        )

    def expert_reply(self) -> str:
        """The scripted expert's next reply; it never changes the episode."""
        return players.expert_reply(self._world, self._desk, self.turn)

    def random_reply(self, rng: np.random.Generator) -> str:
        """One or two acts of a service agent with random facts, sometimes without form."""
        return players.random_reply(rng)


def _notice(notices: Sequence[str]) -> Message:
    return Message(role="tool", name="shop", content=" ".join(notices))
