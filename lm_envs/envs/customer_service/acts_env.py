"""`CustomerServiceActsEnv`: the service desk as classical dialogue management, one dialogue act a turn.

belief: a parcel is late, order 4411, nobody verified yet
> step(NUMBER["ask_postcode", "apologetic"])     "I'm sorry to hear that. What is your postcode?"
belief: a parcel is late, order 4411, a postcode given
> step(NUMBER["find_by_order", "neutral"])       {"name": "find_customer", "arguments": {"query": "4411"}}
"""

from __future__ import annotations

from typing import Any, Literal

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from lm_envs.core import one_of
from lm_envs.envs.customer_service import choice_expert, choices, expert
from lm_envs.envs.customer_service.belief import Belief
from lm_envs.envs.customer_service.calls import Call
from lm_envs.envs.customer_service.choices import CHOICES, NUMBER
from lm_envs.envs.customer_service.customer import Said
from lm_envs.envs.customer_service.env import CustomerServiceEnv
from lm_envs.envs.customer_service.features import FEATURES, features
from lm_envs.envs.customer_service.scenario import Need

Observation = npt.NDArray[np.float32]  # (len(OBSERVED),)

OBSERVED: tuple[str, ...] = (*FEATURES, *(f"can_{act}" for act in (*choices.SPOKEN, *choices.CALLED)))
"""The names of the observation's components: the belief, and which acts are admissible."""

NOOP_ACTION = NUMBER["report", "neutral"]
"""As long as nothing was done there is nothing to report: with this alone, all replies are empty."""


class _Desk(CustomerServiceEnv):
    """The text level, which lets the customer's dialogue acts be seen besides their words."""

    said = Said("")
    topic = ""

    def _hear(self, said: Said) -> None:
        super()._hear(said)
        self.said = said
        stated = next((act for act in reversed(said.acts) if act.startswith("state/")), "")
        self.topic = _topic(stated, self._customer.open_need) if stated else ""

    def begin_belief(self) -> Belief:
        """What is known before anything was said: the numbers in the system prompt."""
        return Belief(self._record.shop.policy)

    def word(self, move: expert.Move) -> str:
        """A move in words of this episode's split, or as a call."""
        return expert.say(move, (self.scenario.wording, self.turn), self.split)


class CustomerServiceActsEnv(gym.Env[Observation, np.int64]):
    """Serve customers by choosing among dialogue acts and tool calls: the classical view of dialogue management.

    ## Description
    The task of ``lm_envs/CustomerService-v0``: the same scenarios for the same seeds, the same customers, rules, reward and metrics.
    The agent neither reads nor writes text. What the customer says comes as dialogue acts and slots, what tools return as data, and
    both are kept in a belief state (`belief.py`). What the agent chooses is put into words of the split, or into a tool call, with
    slots filled from the belief (`choices.py`), and goes through the text level: it is read, judged and answered as any other agent's
    reply.

    ## Observation
    A ``Box`` of ``len(OBSERVED)`` float32 in [0, 1]; `OBSERVED` names the components. The belief: the topic, as the customer stated it;
    which slots are known, asked for, or unknown to the customer; account and identity; the order's status, dates against the rules'
    numbers, stock, warranty, as far as tools were asked; what was changed, told and refused; what the customer's last words were like
    (a protest, a question, confusion, ...); and for each act if it is admissible. Nothing else: not the goal, not what is due, not the
    customer's mood or identity. A reader of the conversation knows as much.

    ## Action
    ``Discrete(len(CHOICES))``; `CHOICES` names an act and a tone for each number. 20 acts are said to the customer, in a neutral, warm
    (with a greeting) or apologetic tone: ``ask_<slot>``, ``inform``, ``report`` (what was changed), ``refuse_<reason>``, ``ask_more``.
    14 are tool calls. An act is admissible if its slots can be filled: a question asks for something unknown that belongs to the topic,
    what is told is known, a reason holds by what was read, a change needs an order that was read and is one that the topic may call
    for. One greets once, and apologises once in a matter and with refusals. ``info["action_mask"]`` (int8), ``action_mask()`` and
    ``action_masks()`` (for sb3-contrib) say which are; there is always one. An inadmissible act is an empty reply, which costs a turn
    and patience. With ``inadmissible="next"`` an admissible one takes its place, the same said neutrally or else the next in the order
    of `CHOICES`, the first after the last. Neighbours are of a kind (questions, facts, refusals, lookups, changes), so that what
    algorithms without masks learn of an act holds for what takes its place. Admissible acts can still be wrong, and break rules.

    ## Reward
    That of the text level, in [-0.5, 1] an episode: ``success * (0.6 + 0.2 * satisfaction + 0.1 * efficiency + 0.1 * politeness) + 0.25
    * violation + 0.25 * abandoned + shaping``; ``shaping=True`` adds a potential-based term that sums to 0 over an episode.

    ## Termination
    When the customer says goodbye or walks out; after ``max_turns`` acts, as a failure.

    ## Truncation
    When another reply might not fit into ``max_chars``; never by default.

    ## Info
    ``scenario``, ``rewards`` and ``metrics`` as at the text level; ``action_mask``; after an act also ``reply``: the text or the call
    that it became.

    Scores (mean return, success; seeds 0 to 99):

    | player | train | test |
    |---|---|---|
    | scripted expert, which sees the belief alone | 0.937, 100 % | 0.938, 100 % |
    | random admissible acts | -0.039, 1 % | -0.025, 2 % |
    | no act (empty replies) | -0.250, 0 % | -0.250, 0 % |

    `docs/choice-level.md` shows what stock algorithms and tables learn.

    ## Arguments
    - ``inadmissible``: ``"turn"`` (default) or ``"next"``: what becomes of an inadmissible act.
    - All of the text level: ``intents``, ``adversarial``, ``max_needs``, ``personas``, ``shaping``, ``max_turns``, ``split``,
      ``reward``, ``render_mode``, ...; and its options of ``reset``.

    ## Version history
    - v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "human"], "render_fps": 1}

    def __init__(self, *, inadmissible: Literal["turn", "next"] = "turn", **arguments: Any) -> None:
        self.inadmissible = one_of("inadmissible", inadmissible, ("turn", "next"))
        self.desk = _Desk(**arguments)
        self.render_mode = self.desk.render_mode
        self.observation_space = spaces.Box(0.0, 1.0, (len(OBSERVED),), np.float32)
        self.action_space = spaces.Discrete(len(CHOICES))
        self._belief: Belief | None = None
        self._admissible: npt.NDArray[np.bool_] = np.ones(len(CHOICES), np.bool_)

    @property
    def belief(self) -> Belief:
        """What is believed now; not to be changed.

        Raises:
            gymnasium.error.ResetNeeded: before the first ``reset``.
        """
        if self._belief is None:
            raise gym.error.ResetNeeded("CustomerServiceActsEnv: call reset first")
        return self._belief

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode; ``options`` are those of the text level."""
        super().reset(seed=seed)
        _, info = self.desk.reset(seed=seed, options=options)
        self._belief = self.desk.begin_belief()
        self._belief.hear(self.desk.said, self.desk.topic)
        return self._observe(), info | {"action_mask": self.action_mask()}

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Carry out one act."""
        belief = self.belief
        if not self.action_space.contains(action):
            raise gym.error.InvalidAction(f"an action is an integer from 0 to {len(CHOICES) - 1}; got {action!r}")
        act, tone = CHOICES[self._carried_out(int(action))]
        move = choices.fill(belief, act, tone)
        reply = "" if move is None else self.desk.word(move)
        messages, reward, terminated, truncated, info = self.desk.step(reply)
        if isinstance(move, Call):
            belief.result(move, messages[-1]["content"])
        else:
            if move is not None:
                choices.note(belief, act, move)
            belief.hear(self.desk.said, self.desk.topic)
        return self._observe(), reward, terminated, truncated, info | {"action_mask": self.action_mask(), "reply": reply}

    def action_mask(self) -> npt.NDArray[np.int8]:
        """1 for each action whose slots can be filled, else 0; as ``action_space.sample(mask)`` takes it."""
        return self._admissible.astype(np.int8)

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """The same as booleans, as sb3-contrib's MaskablePPO asks for it."""
        return self._admissible.copy()

    def expert_action(self) -> int:
        """What the scripted expert does next. It sees what the belief holds and nothing else."""
        return NUMBER[choice_expert.choose(self.belief)]

    def render(self) -> str | None:  # type: ignore[override]
        """The transcript so far in ``"ansi"`` mode; ``None`` otherwise."""
        return self.desk.render()

    def _carried_out(self, action: int) -> int:
        """The action itself, or the admissible one that takes its place: the same act said neutrally, else the next."""
        if self.inadmissible == "turn" or self._admissible[action]:
            return action
        neutral = NUMBER[CHOICES[action][0], "neutral"]
        if self._admissible[neutral]:
            return neutral
        able = np.flatnonzero(self._admissible)
        return int(able[np.searchsorted(able, action) % len(able)])

    def _observe(self) -> Observation:
        able = choices.able_acts(self.belief)
        self._admissible = np.array(choices.in_tones(self.belief, able), np.bool_)
        return np.array([*features(self.belief, self.desk.turn / self.desk.max_turns), *able], np.float32)


_TOPICS = {"howto_task": "howto", "billing_amount": "billing", "loyalty_points": "loyalty", "loyalty_tier": "loyalty"}
"""What is stated with its details, and the topic that it is about."""


def _topic(stated: str, need: Need | None) -> str:
    """What a statement is about; requests in free words are told apart as their words do."""
    if stated != "state/request" or need is None:
        topic = stated.removeprefix("state/")
        return _TOPICS.get(topic, topic)
    if need.wish == "handover":
        return "person"
    return {"loyalty": "goodwill", "billing": "double"}.get(need.intent, "out_of_scope")
