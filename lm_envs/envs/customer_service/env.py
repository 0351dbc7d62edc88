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
from lm_envs.envs.customer_service.generator import Scenario, generate
from lm_envs.envs.customer_service.rules import INTENTS
from lm_envs.envs.customer_service.understanding import hear
from lm_envs.types import Message


class CustomerServiceEnv(TextEnv):
    """DOC"""

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
