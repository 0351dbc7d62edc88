"""The three scripted players of every environment, and how well they do.

An environment is sound when its expert does well and neither silence nor chance does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np

from lm_envs.core import TextEnv, at_least, one_of
from lm_envs.tokens import TokenEnv
from lm_envs.types import Messages

Player = Literal["expert", "noop", "random"]
PLAYERS: tuple[Player, ...] = ("expert", "noop", "random")

_RESAMPLES = 2000
_Z = 1.959964  # the normal distribution's 97.5 % point


class Turn(NamedTuple):
    """What one reply brought."""

    messages: Messages  # the conversation after it
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]


@dataclass(frozen=True)
class Episode:
    """An episode from beginning to end.

    Attributes:
        opening: what the agent read first.
        info: what ``reset`` returned beside it.
        turns: one for each reply, at least one.
    """

    opening: Messages
    info: dict[str, Any]
    turns: list[Turn]

    @property
    def reward(self) -> float:
        """The sum of the rewards."""
        return sum(turn.reward for turn in self.turns)

    @property
    def metrics(self) -> dict[str, float]:
        """The ground truth at the end."""
        return dict(self.turns[-1].info["metrics"])


class Estimate(NamedTuple):
    """A mean and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


def text_env(env: TextEnv | TokenEnv) -> TextEnv:
    """The text environment that holds the scripted players.

    Raises:
        TypeError: when there is none.
    """
    inner = env.env.unwrapped if isinstance(env, TokenEnv) else env
    if not isinstance(inner, TextEnv):
        raise TypeError(f"expected a TextEnv or a TokenEnv around one, got {type(inner).__name__}")
    return inner


def next_reply(env: TextEnv, player: Player, rng: np.random.Generator) -> str:
    """What a player says now; ``rng`` is the random player's."""
    if one_of("player", player, PLAYERS) == "expert":
        return env.expert_reply()
    return env.noop_reply if player == "noop" else env.random_reply(rng)


def say(env: TextEnv | TokenEnv, reply: str) -> Turn:
    """Send a whole reply, token by token where the environment takes tokens; one that is too long is cut there."""
    if not isinstance(env, TokenEnv):
        return Turn(*env.step(reply))
    total = 0.0
    for token in env.chat.encode_reply(reply):
        _, reward, terminated, truncated, info = env.step(token)
        total += reward
        if info:  # the reply has ended
            break
    return Turn(text_env(env).messages, total, terminated, truncated, info)


def play(env: TextEnv | TokenEnv, player: Player, *, seed: int | None = None) -> Episode:
    """Let a player play one episode. The same seed gives the same episode, the random player's too.

    Raises:
        RuntimeError: when the episode hasn't ended after ``max_turns`` replies.
    """
    inner = text_env(env)
    _, info = env.reset(seed=seed)
    rng = player_generator(seed)
    episode = Episode(inner.messages, info, [])
    for _ in range(inner.max_turns):
        episode.turns.append(say(env, next_reply(inner, player, rng)))
        if episode.turns[-1].terminated or episode.turns[-1].truncated:
            return episode
    raise RuntimeError(f"the episode hasn't ended after max_turns = {inner.max_turns} replies")


def player_generator(seed: int | None) -> np.random.Generator:
    """What the random player draws its replies from: another stream than the one the same seed gives the environment."""
    return np.random.default_rng(None if seed is None else (seed, 1))


def validate(
    env: TextEnv | TokenEnv, *, episodes: int = 100, seed: int = 0, on_episode: Callable[[], Any] = lambda: None
) -> dict[Player, dict[str, Estimate]]:
    """Each player's reward and ground-truth metrics at the end of the episode.

    All players meet the same scenarios, those of the seeds ``seed``, ``seed + 1``, … ``seed + episodes - 1``. ``on_episode`` is
    called after each episode, to show progress.

    Returns:
        For each player ``"reward"`` (the episode's sum) and ``"metrics.<name>"``.
    """
    at_least("episodes", episodes, 1)
    played: dict[Player, dict[str, list[float]]] = {}
    for player in PLAYERS:
        columns: dict[str, list[float]] = {}
        for number in range(seed, seed + episodes):
            episode = play(env, player, seed=number)
            for name, value in {"reward": episode.reward, **{f"metrics.{name}": value for name, value in episode.metrics.items()}}.items():
                columns.setdefault(name, []).append(value)
            on_episode()
        played[player] = columns
    zero_one = {name for name in played["expert"] if {value for columns in played.values() for value in columns[name]} == {0.0, 1.0}}
    return {
        player: {name: estimate(values, proportion=name in zero_one) for name, values in columns.items()}
        for player, columns in played.items()
    }


class GoldCase(NamedTuple):
    """Replies to a scenario, and what must come of them.

    Attributes:
        kind: ``"gold"`` and ``"variation"`` must succeed, ``"no-op"`` and ``"mutation"`` must not.
        name: what was done to the gold script.
        replies: said one after another, whatever is answered; after the last, nothing is said.
    """

    kind: Literal["gold", "no-op", "mutation", "variation"]
    name: str
    replies: tuple[str, ...]

    @property
    def must_succeed(self) -> bool:
        """Whether success must be 1."""
        return self.kind in ("gold", "variation")


@runtime_checkable
class HasGold(Protocol):
    """An environment whose scenarios have gold scripts."""

    def gold_cases(self, seed: int) -> Iterable[GoldCase]:
        """The gold script of a seed's scenario, mutations and harmless variations of it."""
        ...


class Tally(NamedTuple):
    """How one kind of case fared.

    Attributes:
        cases: how many there were.
        succeeded: how many of them succeeded.
        wrong: seeds of those that didn't come out as they must.
    """

    cases: int
    succeeded: int
    wrong: tuple[int, ...]


def validate_gold(
    env: TextEnv, *, episodes: int = 100, seed: int = 0, on_episode: Callable[[], Any] = lambda: None
) -> dict[tuple[str, str], Tally]:
    """Whether gold scripts succeed, doing nothing and every mutation fail, and harmless variations succeed.

    Scenarios are those of the seeds ``seed``, ``seed + 1``, … ``seed + episodes - 1``. ``on_episode`` is called after each scenario.

    Returns:
        By kind and name of the case, in the order in which they came up.

    Raises:
        TypeError: when the environment's scenarios have no gold scripts.
    """
    at_least("episodes", episodes, 1)
    if not isinstance(env, HasGold):
        raise TypeError(f"{type(env).__name__} has no gold scripts; environments with a method gold_cases(seed) have")
    tallies: dict[tuple[str, str], Tally] = {}
    for number in range(seed, seed + episodes):
        for case in list(env.gold_cases(number)):
            succeeded = replay(env, number, case.replies) == 1
            count, successes, wrong = tallies.get((case.kind, case.name), Tally(0, 0, ()))
            wrong = wrong if succeeded == case.must_succeed else (*wrong, number)
            tallies[case.kind, case.name] = Tally(count + 1, successes + succeeded, wrong)
        on_episode()
    return tallies


def replay(env: TextEnv, seed: int, replies: Sequence[str]) -> float:
    """The success at the end of an episode in which ``replies`` are said whatever is answered, and nothing after the last."""
    env.reset(seed=seed)
    for turn in range(env.max_turns):
        _, _, terminated, truncated, info = env.step(replies[turn] if turn < len(replies) else env.noop_reply)
        if terminated or truncated:
            break
    return float(info["metrics"]["success"])


def estimate(values: Sequence[float], *, proportion: bool = False) -> Estimate:
    """The mean of ``values``, shape ``(n,)`` with n ≥ 1, with a 95 % interval.

    For a ``proportion``, of values that are 0 or 1, it is Wilson's score interval ("Probable Inference, the Law of Succession, and
    Statistical Inference", JASA 1927), which has a width also where all are equal; else the percentile bootstrap's, with a fixed seed.
    """
    array = np.asarray(values, dtype=np.float64)
    count, mean = array.size, float(array.mean())
    if proportion:
        centre = (mean + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
        half = _Z / (1 + _Z**2 / count) * sqrt(mean * (1 - mean) / count + _Z**2 / (4 * count**2))
        return Estimate(mean, min(mean, max(0.0, centre - half)), max(mean, min(1.0, centre + half)))
    resampled = np.random.default_rng(0).choice(array, (_RESAMPLES, count)).mean(axis=1)  # (resamples,)
    low, high = np.quantile(resampled, (0.025, 0.975))
    return Estimate(mean, float(low), float(high))
