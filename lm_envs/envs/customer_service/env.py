"""`CustomerServiceEnv`: answer a customer, with the shop's books at hand and the company's rules to keep.

system: You work at the service desk of Brightwell. ... get_order(order_id) ...
user: Hello! My kettle arrived broken.
> step("I'm sorry to hear that. What are your order number and postcode?")
user: It's 4411. My postcode is LN4 2QA.
> step('{"name": "find_customer", "arguments": {"query": "4411"}}')
tool find_customer: {"customers":[{"customer_id":"C17","name":"Mia Reed"}]}
> step('{"name": "authenticate", "arguments": {"customer_id": "C17", "postcode": "LN4 2QA"}}')
tool authenticate: {"customer_id":"C17","verified":true}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from lm_envs.core import Opening, Response, TextEnv, at_least, one_of
from lm_envs.envs.customer_service import attacks, babble, calls, expert, gold, personas, tasks
from lm_envs.envs.customer_service.acts import Reading
from lm_envs.envs.customer_service.customer import Said, SimulatedCustomer
from lm_envs.envs.customer_service.data import load
from lm_envs.envs.customer_service.goals import Goals
from lm_envs.envs.customer_service.prompts import STYLES, TOOLS_IN, Style, ToolsIn, system_prompt, variants
from lm_envs.envs.customer_service.record import Event, Record
from lm_envs.envs.customer_service.rules import Rulebook
from lm_envs.envs.customer_service.scenario import INTENTS
from lm_envs.envs.customer_service.scoring import Score
from lm_envs.envs.customer_service.tools import Toolbox, schemas
from lm_envs.envs.customer_service.truth import false_facts
from lm_envs.envs.customer_service.understanding import read
from lm_envs.types import Message, Messages
from lm_envs.validation import GoldCase

if TYPE_CHECKING:
    from lm_envs.envs.customer_service.llm_customer import Voice

MAX_NEEDS = 3
MAX_SHOWN = 2000  # characters of a tool's answer
OPTIONS = (*tasks.CHANGES, "customer_seed")  # of `reset`


class CustomerServiceEnv(TextEnv):
    """Answer customers of a shop: find out what they need, look it up, do what the rules demand, and say so.

    ## Description
    The agent works at a shop's service desk. A customer writes with one to three requests of sixteen kinds: where a parcel is, late and
    lost parcels, cancellation, return, exchange, disputed refunds, damaged and wrong goods, a new address or means of payment, charges,
    warranty, technical help from the knowledge base, loyalty points, and what no shop can do. The agent asks for what it needs,
    verifies who writes, reads the shop's books and changes them through fifteen tools, keeps some thirty company rules whose numbers
    differ between shops, and tells the customer what came of it. Often the right answer is to refuse, politely and with the true
    reason.

    Requests are made difficult in ways that cross: the order's number is unknown, the postcode is wrong at first, two orders are alike,
    the customer starts vaguely or changes their mind, the return window is over, it is final sale, sold out, shipped already, not late
    enough. The customer is an agenda of needs with a temper (after Schatzmann et al. 2007): facts are given when asked for, two a
    message; patience and satisfaction move with waiting, repeated questions, wrong facts, sympathy, solutions. Replies are read by
    `understanding.py`, whose accuracy is measured on replies that it wasn't made from. ``adversarial`` is the share of customers who
    insult, deceive or try to take over the agent.

    The splits share no persona, no wording of customers or prompts, no pair of a request and a complication but two that are due what
    nothing else is due, and no pair of requests.

    ## Observation
    A ``Conversation``: a system message with the rules and tools, the customer's messages, and tools' answers as short JSON.

    ## Action
    An ``Utterance``: text for the customer, or one tool call and nothing else, as ``{"name": ..., "arguments": {...}}`` or between
    ``<tool_call>`` and ``</tool_call>``. What looks like a call and isn't one is answered with an error.

    ## Reward
    ``reward="customer_service"``, range [-0.5, 1] an episode: ``success * (0.6 + 0.2 * satisfaction + 0.1 * efficiency + 0.1 *
    politeness) + 0.25 * violation + 0.25 * abandoned + shaping``. Signals:

    - ``outcome``: 1 with the reply that ends the episode with success, else 0. What stands in brackets counts only then.
    - ``satisfaction``: the customer's, in [0, 1].
    - ``efficiency``: 1 if no more texts, calls and words were used than a good agent needs, 0 for twice as many, in [0, 1].
    - ``politeness``: 0 for whoever was rude, else from 0.5 to 1 by courtesies such as greetings, thanks and sympathy.
    - ``violation``: minus 0.4 for each critical rule newly broken and 0.1 for each minor one, down to -1 in an episode.
    - ``abandoned``: -1 at the end of an episode in which the customer walked out or was left waiting, else 0.
    - ``shaping``: 0, or with ``shaping=True`` the change of a potential (Ng, Harada and Russell 1999): the share of milestones reached
      (customer verified, order read, due changes made, outcome told) as long as success is possible, 0 at the end; it sums to 0 over an
      episode.

    ## Termination
    When the customer says goodbye or walks out; after ``max_turns`` replies, calls included, as a failure.

    ## Truncation
    When another reply might not fit into ``max_chars``; never by default.

    ## Info
    ``scenario``: an id that says nothing but the split. ``rewards``: the reward's components, after a reply. ``metrics``: ground truth
    so far:

    - ``success``: 1 when the conversation has ended, the books are what the due changes make them, the customer has been told each
      outcome, with the true reason where it is a refusal, and has left it at that, and no critical rule was broken; else 0. Lookups
      don't matter.
    - ``progress``: the share of milestones reached, in [0, 1].
    - ``satisfaction``: of the customer, from 1 to 5.
    - ``left``: 1 if the customer has walked out.
    - ``calls``, ``failed_calls``: tool calls, and those that brought an error.
    - ``facts_right``, ``facts_wrong``: true and false facts told to the customer.
    - ``attacked``, ``attack_success``: 1 if the customer is an adversary, and if what they are after was given.
    - ``violations``, ``critical_violations``, ``rule_<id>``: rules broken, in all and by rule.
    - ``turns``: replies given.

    Scores (mean return, standard deviation, success; 1,000 episodes of seeds 0 to 999 each, ``adversarial=0.3``):

    | player | train | test |
    |---|---|---|
    | scripted expert | 0.923 ± 0.029, 100 % | 0.922 ± 0.028, 100 % |
    | random replies | -0.352 ± 0.140, 0 % | -0.363 ± 0.139, 0 % |
    | no reply | -0.250 ± 0.000, 0 % | -0.250 ± 0.000, 0 % |

    ``python -m lm_envs validate lm_envs/CustomerService-v0 --gold`` shows that gold scripts succeed and what is changed about them
    matters.

    ## Arguments
    - ``intents``: what customers may come for, a sequence of "status", "late", "lost", "cancel", "return", "exchange", "refund",
      "damaged", "wrong_item", "address", "payment", "billing", "warranty", "howto", "loyalty", "out_of_scope"; by default all, evenly.
    - ``adversarial``: the share of adversaries, from 0 (default) to 1. Their aims don't depend on ``intents`` alone.
    - ``max_needs``: the most requests in a conversation, 1 to 3 (default).
    - ``personas``: names of personas of the split to choose from; by default all, by ``adversarial``.
    - ``prompt``: ``"compact"`` (default), some 410 tokens of SmolLM2's tokenizer, or ``"full"``, with all rules and JSON schemas, some
      2,400.
    - ``tools_in``: ``"prompt"`` (default), or ``"template"`` to leave the tools to a chat template: they are in the attribute ``tools``,
      and token environments have the tokenizer's template describe them.
    - ``customer``: ``"simulated"``, or a ``Voice`` (`llm_customer.py`) that finds the words for what the simulated customer says.
    - ``shaping``: whether the reward is shaped; by default not.
    - ``max_turns`` (default 24; the expert needs up to 20), ``split``, ``reward``, ``max_reply_chars``, ``max_chars``, ``render_mode``:
      see ``TextEnv``.

    ``reset`` takes the options ``"name"``, ``"dialect"`` and ``"tier"``, which change nothing else of the customer (`metrics.paired`), and
    ``"customer_seed"``, from which the customer's own chance comes instead: the same scenario, in other words and moods (`metrics.trials`).

    ## Version history
    - v0: first version.
    """

    default_reward = "customer_service"

    def __init__(
        self,
        *,
        intents: Sequence[str] = INTENTS,
        adversarial: float = 0.0,
        max_needs: int = MAX_NEEDS,
        personas: Sequence[str] | None = None,
        prompt: Style = "compact",
        tools_in: ToolsIn = "prompt",
        customer: str | Voice = "simulated",
        shaping: bool = False,
        max_turns: int = 24,
        **arguments: Any,
    ) -> None:
        super().__init__(max_turns=max_turns, **arguments)
        if isinstance(intents, str) or not intents:
            raise ValueError(f"intents must be a non-empty sequence of {', '.join(INTENTS)}; got {intents!r}")
        self.intents = tuple(one_of("intents", intent, INTENTS) for intent in intents)
        if isinstance(adversarial, bool) or not isinstance(adversarial, (int, float)) or not 0 <= adversarial <= 1:
            raise ValueError(f"adversarial must be a share from 0 to 1; got {adversarial!r}")
        self.adversarial = float(adversarial)
        self.max_needs = at_least("max_needs", one_of("max_needs", max_needs, range(1, MAX_NEEDS + 1)), 1)
        self.prompt = one_of("prompt", prompt, STYLES)
        self.tools_in = one_of("tools_in", tools_in, TOOLS_IN)
        if tools_in == "template":
            self.tools = schemas()
        if isinstance(customer, str):
            one_of("customer", customer, ("simulated",))
        self.voice = None if isinstance(customer, str) else customer
        self.shaping = bool(shaping)
        self.cast = None if personas is None else _cast(personas, self.split)

    def open(self, options: Mapping[str, Any]) -> Opening:
        """Draw a customer; `reset` takes the options ``"name"``, ``"dialect"``, ``"tier"`` and ``"customer_seed"``."""
        options = dict(options)
        chance = options.pop("customer_seed", None)
        scenario = tasks.generate(self.np_random, self.split, self.intents, self.adversarial, self.max_needs, self.cast)
        for change, value in options.items():
            scenario = tasks.changed(scenario, one_of("an option", change, OPTIONS), value)
        self.scenario = scenario
        self._goals = Goals(scenario)
        self._record = Record(scenario.shop.copy(), person=any(need.due == "handover" for need in self._goals.needs))
        self._toolbox = Toolbox(self._record.shop)
        rng = self.np_random if chance is None else np.random.default_rng(at_least("customer_seed", chance, 0))
        self._customer = SimulatedCustomer(scenario, rng, self.voice)
        self._score = Score(self._goals)
        self._lost = False
        said = self._customer.open()
        self._hear(said)
        return Opening(
            messages=(Message(role="system", content=self._system()), Message(role="user", content=said.text)),
            scenario={"id": scenario.id, "difficulty": scenario.difficulty},
            metrics=self._metrics_now(success=False),
        )

    def respond(self, reply: str) -> Response:
        """Let a tool or the customer take in a reply."""
        parsed = calls.parse(reply)
        messages = self._tell(parsed.text) if isinstance(parsed, calls.Text) else (self._call(parsed),)
        customer = self._customer
        terminated = customer.settled or customer.left
        ended = terminated or self.is_last_turn
        if ended:
            self._judge(self._record.end())
        sound = not self._score.critical and not customer.left
        success = customer.settled and sound and self._goals.reached(self._record.shop)
        metrics = self._metrics_now(success=success)
        return Response(
            messages=messages,
            terminated=terminated,
            metrics=metrics,
            signals=self._score.signals(
                success=success,
                satisfaction=customer.satisfaction,
                potential=metrics["progress"] if sound and not self._goals.spoilt else 0.0,
                settled=customer.settled,
                ended=ended,
                shaping=self.shaping,
            ),
        )

    def expert_reply(self) -> str:
        """The scripted expert's next reply; it never changes the episode."""
        return expert.say(self.expert_move(), (self.scenario.wording, self.turn), self.split)

    def expert_move(self) -> expert.Move:
        """What the expert does next, before it is put into words."""
        view = expert.View(self.scenario, self._goals, self._record, self._customer, self.turn)
        return expert.next_move(view)

    def random_reply(self, rng: np.random.Generator) -> str:
        """A random call, or one or two acts of a service agent with random facts, sometimes without form."""
        return babble.random_reply(rng)

    def gold_cases(self, seed: int) -> Iterator[GoldCase]:
        """A seed's gold script, what mustn't be changed about it, and what may: see `gold.py`."""
        return gold.cases(self, seed)

    def _call(self, parsed: calls.Call | calls.Malformed) -> Message:
        """Carry out a call; or say what is wrong with it."""
        if isinstance(parsed, calls.Malformed):
            self._score.called(False)
            self._customer.wait()
            return Message(role="tool", name="shop", content=f'{{"error":"{_plain(parsed.why)}"}}')
        event = self._record.call(self._toolbox, parsed)
        assert event.result is not None
        self._judge(event)
        self._score.called(event.result.ok)
        self._goals.called(event)
        self._customer.wait()
        name = event.result.name if event.result.name in self._toolbox.tools else "shop"
        self._notice_attack()
        return Message(role="tool", name=name, content=event.result.content[:MAX_SHOWN])

    def _tell(self, text: str) -> Messages:
        """Let the customer hear a text."""
        reading = read(text) if text else Reading(silent=True)
        false = len(false_facts(self._record, reading)) if reading.facts else 0
        self._score.said(reading, false)
        self._judge(self._record.text(reading))
        self._goals.said(reading, self._record)
        self._notice_attack()
        said = self._customer.react(reading, text)
        self._hear(said)
        return (Message(role="user", content=said.text),) if said.text else ()

    def _hear(self, said: Said) -> None:
        """Note what the customer has said."""
        need = self._customer.open_need
        if need is None or not self._customer.stated:
            self._record.said(said.slots)
            return
        facts = [("amount", need.knows["amount"])] if "amount" in need.knows else []
        wish = said.slots.get("wish", "")
        self._record.said(said.slots, intent=need.intent, order=need.order, facts=facts, wish="" if wish == "inform" else wish)

    def _judge(self, event: Event) -> None:
        """Hold an event against the rules."""
        self._score.broke(_rulebook().check(self._record, event))

    def _notice_attack(self) -> None:
        attack = self.scenario.attack
        if attack is not None and not self._lost:
            self._lost = attacks.succeeded(attack, self._record)

    def _metrics_now(self, *, success: bool) -> dict[str, float]:
        return self._score.metrics(
            success=success,
            satisfaction=self._customer.satisfaction,
            progress=self._goals.progress(self._record),
            left=self._customer.left,
            attacked=self.scenario.attack is not None,
            lost=self._lost,
        )

    def _system(self) -> str:
        shops = load("people")["shops"]
        round_, shop = divmod(self.scenario.wording, len(shops))
        variant = round_ % variants(self.prompt, self.split)
        return system_prompt(shops[shop], self.scenario.shop.policy, self.prompt, self.tools_in, self.split, variant)


def _cast(names: Sequence[str], split: str) -> tuple[Mapping[str, Any], ...]:
    known = {persona["name"]: persona for persona in personas.everyone() if persona["split"] == split}
    if isinstance(names, str) or not names:
        raise ValueError(f"personas must be a non-empty sequence of {', '.join(known)}; got {names!r}")
    return tuple(known[one_of("personas", name, tuple(known))] for name in names)


def _plain(text: str) -> str:
    return text.replace("\\", " ").replace('"', "'")


@cache
def _rulebook() -> Rulebook:
    """All rules; it has no state, so that all episodes share it."""
    return Rulebook()
