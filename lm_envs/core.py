"""`TextEnv`: a conversation as a Gymnasium environment, text in, text out.

    system: You work at the service desk of ...
    user: Hi, my parcel hasn't come.
    > step("I'm sorry to hear that. What is your order number?")
    user: It's 4411.                                                 reward 0.05

A family says how an episode opens and what answers a reply; everything else is here.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypedDict

import gymnasium as gym
import numpy as np

from lm_envs import rewards
from lm_envs.rendering import print_turns, transcript
from lm_envs.spaces import Conversation, Utterance, well_formed
from lm_envs.types import SPLITS, Exchange, Message, Messages, RewardModel, Split


@dataclass(frozen=True)
class Opening:
    """How an episode begins.

    Attributes:
        messages: what the agent reads first; at least one message, none of them from a tool.
        scenario: what reward models may know of it; must hold ``"id"``, a string that tells scenarios apart.
        metrics: ground truth before the first reply; the names that every later turn reports.
    """

    messages: Messages
    scenario: Mapping[str, Any]
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Response:
    """What the world answers to a reply.

    Attributes:
        messages: from the user, from tools, or none.
        terminated: whether the task ended, well or badly.
        metrics: the episode's ground truth so far, cumulative; independent of any reward model.
        signals: this turn's feedback for reward models, by name.
    """

    messages: Messages = ()
    terminated: bool = False
    metrics: Mapping[str, float] = field(default_factory=dict)
    signals: Mapping[str, float] = field(default_factory=dict)


class TextState(TypedDict):
    """All that is needed to come back to a point of an episode: its generator's state when it opened, and the replies."""

    generator: dict[str, Any]
    options: dict[str, Any]
    replies: list[str]


class TextEnv(gym.Env[Messages, str], ABC):
    """A conversation between an agent and a simulated world.

    A subclass implements :meth:`open` and :meth:`respond`, and the three scripted players :meth:`expert_reply`,
    :meth:`random_reply` and :attr:`noop_reply`. All randomness must come from ``self.np_random``.

    Args:
        split: ``"train"`` or ``"test"``; scenarios of the two are disjoint.
        reward: a registered name or a reward model; by default :attr:`default_reward` of the family.
        reward_kwargs: what the reward model of that name is made with.
        max_turns: replies after which the episode ends, as a failure where the task is not done. Unlike a time limit this
            is ``terminated``: an algorithm that adds the value of going on would otherwise be paid for stalling.
        max_reply_chars: the longest reply that is accepted.
        max_chars: the longest conversation; when another reply might not fit, the episode is ``truncated``.
        render_mode: ``"ansi"`` (``render()`` returns the transcript) or ``"human"`` (turns are printed as they happen).

    Raises:
        TypeError: for an unknown keyword argument, of the environment or of the reward model; the message lists the known ones.
        ValueError: for an unknown split or reward name, or a limit that leaves no room.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "human"], "render_fps": 1}
    observation_space: Conversation
    action_space: Utterance
    default_reward: ClassVar[str | RewardModel]
    noop_reply: ClassVar[str] = ""
    tools: Sequence[Mapping[str, Any]] = ()
    """Tools, as JSON schemas of functions, that the chat template should describe; none where the system message does."""

    def __init__(
        self,
        *,
        split: Split = "train",
        reward: str | RewardModel | None = None,
        reward_kwargs: Mapping[str, Any] | None = None,
        max_turns: int = 8,
        max_reply_chars: int = 4096,
        max_chars: int = 65_536,
        render_mode: str | None = None,
        **unknown: Any,
    ) -> None:
        if unknown:
            raise TypeError(
                f"{type(self).__name__} has no argument {', '.join(sorted(map(repr, unknown)))}; "
                f"known arguments: {', '.join(known_arguments(type(self)))}"
            )
        self.split = one_of("split", split, SPLITS)
        self.max_turns = at_least("max_turns", max_turns, 1)
        at_least("max_chars", max_chars, at_least("max_reply_chars", max_reply_chars, 1) + 1)
        if render_mode is not None:
            one_of("render_mode", render_mode, self.metadata["render_modes"])
        self.render_mode = render_mode
        self.reward_model = rewards.resolve(self.default_reward if reward is None else reward, reward_kwargs)
        self.observation_space = Conversation(max_chars)
        self.action_space = Utterance(max_reply_chars)
        self.turn = 0
        self._messages: Messages = ()
        self._scores: dict[int, rewards.Score] = {}  # by the position of the reply in the conversation
        self._state: TextState | None = None
        self._exchange: Exchange | None = None
        self._scenario: dict[str, Any] = {}
        self._metrics: dict[str, float] = {}
        self._truncated = self._over = False

    # What a family implements.

    @abstractmethod
    def open(self, options: Mapping[str, Any]) -> Opening:
        """Draw a scenario of ``self.split`` with ``self.np_random`` and say how the episode begins.

        ``options`` are those of ``reset``; a family documents the ones it knows and refuses others.
        """

    @abstractmethod
    def respond(self, reply: str) -> Response:
        """Advance the world by one reply; ``self.turn`` counts this reply, ``self.is_last_turn`` says if it is the last."""

    @abstractmethod
    def expert_reply(self) -> str:
        """The scripted expert's next reply; it may know what the agent cannot."""

    @abstractmethod
    def random_reply(self, rng: np.random.Generator) -> str:
        """A reply of the family's kind, drawn without looking at the scenario."""

    # Gymnasium's interface.

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Messages, dict[str, Any]]:
        """Begin an episode.

        Returns:
            The opening messages, and an ``info`` with ``"scenario"`` (its id) and ``"metrics"``.
        """
        super().reset(seed=seed)
        self._begin(dict(options or {}))
        if self.render_mode == "human":
            print_turns(self._messages)
        return self.messages, self._info()

    def step(self, action: str) -> tuple[Messages, float, bool, bool, dict[str, Any]]:
        """Send one reply; see the family's docstring for reward, termination and ``info``."""
        exchange = self.advance(action)
        return self.settle(rewards.score(self.reward_model, [exchange])[0])

    def advance(self, reply: str) -> Exchange:
        """The first half of :meth:`step`: let the world answer. Must be followed by :meth:`settle`.

        Raises:
            gymnasium.error.ResetNeeded: before ``reset`` or after the end of an episode.
            gymnasium.error.InvalidAction: when ``reply`` is not a string, or too long.
        """
        if self._state is None:
            raise gym.error.ResetNeeded(f"{type(self).__name__}: call reset before step")
        if not isinstance(reply, str):
            raise gym.error.InvalidAction(
                f"a reply is a str of at most {self.action_space.max_chars} characters, got {type(reply).__name__}"
            )
        if not self.action_space.contains(reply):
            raise gym.error.InvalidAction(f"a reply has at most {self.action_space.max_chars} characters, got {len(reply):,}")
        return self._advance(well_formed(reply))

    def settle(self, score: rewards.Score) -> tuple[Messages, float, bool, bool, dict[str, Any]]:
        """The second half of :meth:`step`: book the score of the last exchange and report the outcome."""
        exchange, self._exchange = self._exchange, None
        if exchange is None:
            raise gym.error.ResetNeeded(f"{type(self).__name__}: settle must follow advance")
        self._scores[len(exchange.messages) - 1] = score
        terminated = exchange.ended and not self._truncated
        info = self._info() | {"rewards": dict(score.components)}
        if self.render_mode == "human":
            first = len(exchange.messages) - 1
            print_turns(self._messages[first:], {0: score}, metrics=self._metrics if exchange.ended else None)
        if exchange.ended:
            self._over = True
        return self.messages, score.total, terminated, self._truncated, info

    def render(self) -> str | None:  # type: ignore[override]
        """The transcript so far in ``"ansi"`` mode; ``None`` otherwise."""
        if self.render_mode != "ansi":
            return None
        return transcript(self._messages, self._scores, metrics=self._metrics if self._over else None)

    @property
    def shared(self) -> Mapping[str, Any]:
        """Keyword arguments with which the other rows of a batch use what this one has loaded; a family adds its own."""
        return {"reward": self.reward_model, "reward_kwargs": None}

    def so_far(self, reply: str) -> Exchange:
        """What a reward model would judge of a reply in progress: the conversation with it, and nothing that follows from it."""
        return Exchange(
            messages=(*self._messages, Message(role="assistant", content=reply)),
            scenario=self._scenario,
            ended=False,
            metrics=self._metrics,
        )

    # Coming back to a point of an episode.

    def get_state(self) -> TextState | None:
        """The state as plain data (JSON): ``None`` before the first reset."""
        return self._state and TextState(
            generator=dict(self._state["generator"]), options=dict(self._state["options"]), replies=list(self._state["replies"])
        )

    def set_state(self, state: TextState) -> None:
        """Come back to a state of :meth:`get_state` by opening the same scenario and giving the same replies.

        Rewards given before that point are not computed again.
        """
        self.np_random.bit_generator.state = state["generator"]
        self._begin(dict(state["options"]))
        for reply in state["replies"]:
            self._over = self._advance(reply).ended
            self._exchange = None

    @property
    def is_last_turn(self) -> bool:
        """Whether the reply being answered is the last one."""
        return self.turn >= self.max_turns

    @property
    def messages(self) -> Messages:
        """The conversation so far; a copy, which the caller may change."""
        return tuple([message.copy() for message in self._messages])

    def _begin(self, options: dict[str, Any]) -> None:
        self._state = TextState(generator=self.np_random.bit_generator.state, options=options, replies=[])  # type: ignore[typeddict-item]
        self.turn = 0
        self._truncated = self._over = False
        self._exchange = None
        self._scores = {}
        opening = self.open(options)
        self._scenario = dict(opening.scenario)
        self._messages = tuple(opening.messages)
        self._metrics = self._with_turns(opening.metrics)
        room = self.observation_space.max_chars - self.action_space.max_chars
        if (length := _length(self._messages)) > room:
            raise ValueError(f"{type(self).__name__}: the opening has {length:,} characters; max_chars - max_reply_chars leaves {room:,}")

    def _advance(self, reply: str) -> Exchange:
        assert self._state is not None
        if self._over:
            raise gym.error.ResetNeeded(f"{type(self).__name__}: the episode has ended, call reset")
        if self._exchange is not None:
            raise gym.error.ResetNeeded(f"{type(self).__name__}: advance must be followed by settle")
        self.turn += 1
        self._state["replies"].append(reply)
        response = self.respond(reply)
        judged = (*self._messages, Message(role="assistant", content=reply))
        answered = (*judged, *response.messages)
        self._metrics = self._with_turns(response.metrics)
        terminated = response.terminated or self.is_last_turn
        limit, length = self.observation_space.max_chars, _length(answered)
        self._truncated = not terminated and length > limit - self.action_space.max_chars
        self._messages = answered if length <= limit else judged
        self._exchange = Exchange(
            messages=judged,
            scenario=self._scenario,
            ended=terminated or self._truncated,
            signals=dict(response.signals),
            metrics=self._metrics,
        )
        return self._exchange

    def _with_turns(self, metrics: Mapping[str, float]) -> dict[str, float]:
        return dict(zip(metrics, map(float, metrics.values()), strict=True), turns=float(self.turn))

    def _info(self) -> dict[str, Any]:
        return {"scenario": self._scenario["id"], "metrics": dict(self._metrics)}


def known_arguments(cls: type) -> list[str]:
    """The keyword arguments that a class and its bases take by name, sorted."""
    names: set[str] = set()
    for base in cls.__mro__:
        if "__init__" in vars(base) and base is not object:
            parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
            names |= {p.name for p in parameters if p.kind is p.KEYWORD_ONLY or (p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self")}
    return sorted(names)


def one_of(name: str, value: Any, choices: Any) -> Any:
    """``value`` if it is one of ``choices``; else a ``ValueError`` that names them."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}")
    return value


def at_least(name: str, value: int, lowest: int) -> int:
    """``value`` if it is an integer of at least ``lowest``; else a ``ValueError``."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < lowest:
        raise ValueError(f"{name} must be an integer of at least {lowest}; got {value!r}")
    return int(value)


def _length(messages: Messages) -> int:
    return sum([len(message["content"]) for message in messages])
