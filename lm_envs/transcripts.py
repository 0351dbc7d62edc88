"""An episode as plain data, to be shown or kept: whoever played it, in whichever family.

transcript = Transcript.of(play(env, "expert", seed=7), env="lm_envs/CustomerService-v0", details={"player": "expert", "seed": 7})
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lm_envs.types import Messages
from lm_envs.validation import Episode


@dataclass(frozen=True)
class TokenTrace:
    """The tokens of a reply and what is known of each; a column is as long as ``tokens``, or ``None`` where it isn't known.

    Attributes:
        tokens: as text; empty for a token that ends inside a character.
        rewards: of the environment.
        log_probs: of each token under the policy that wrote it, in nats.
        values: what the critic expected before each token.
        kl: KL(policy ‖ reference) of the whole distributions that the tokens were drawn from, in nats.
    """

    tokens: tuple[str, ...]
    rewards: tuple[float, ...] | None = None
    log_probs: tuple[float, ...] | None = None
    values: tuple[float, ...] | None = None
    kl: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("rewards", "log_probs", "values", "kl"):
            column = getattr(self, name)
            if column is not None and len(column) != len(self.tokens):
                raise ValueError(f"{name} has {len(column)} entries for {len(self.tokens)} tokens")


@dataclass(frozen=True)
class Turn:
    """A reply and what it brought.

    Attributes:
        reply: what the agent wrote.
        answers: messages that followed.
        reward: of the reply.
        rewards: the same by component.
        metrics: ground truth after it.
        tokens: how it was written, in token runs.
    """

    reply: str
    answers: Messages = ()
    reward: float = 0.0
    rewards: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tokens: TokenTrace | None = None


@dataclass(frozen=True)
class Transcript:
    """An episode.

    Attributes:
        env: id of the environment.
        scenario: id of the scenario.
        opening: messages that the agent read first.
        turns: in their order.
        metrics: ground truth before the first reply.
        details: whatever else is worth knowing, such as the player and the seed.
        end: ``"terminated"``, ``"truncated"``, or ``""`` where the episode was left.
    """

    env: str
    scenario: str
    opening: Messages
    turns: tuple[Turn, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, str | int | float] = field(default_factory=dict)
    end: str = ""

    @classmethod
    def of(cls, episode: Episode, *, env: str, details: Mapping[str, str | int | float] | None = None) -> Transcript:
        """What :func:`lm_envs.validation.play` has played."""
        turns, before = [], episode.opening
        for turn in episode.turns:
            position = len(before)
            turns.append(
                Turn(
                    reply=turn.messages[position]["content"],
                    answers=turn.messages[position + 1 :],
                    reward=turn.reward,
                    rewards=turn.info.get("rewards", {}),
                    metrics=turn.info.get("metrics", {}),
                )
            )
            before = turn.messages
        last = episode.turns[-1] if episode.turns else None
        end = "" if last is None else "terminated" if last.terminated else "truncated" if last.truncated else ""
        return cls(
            env, episode.info.get("scenario", ""), episode.opening, tuple(turns), episode.info.get("metrics", {}), details or {}, end
        )

    @property
    def reward(self) -> float:
        """The sum of the rewards."""
        return sum(turn.reward for turn in self.turns)

    @property
    def last_metrics(self) -> Mapping[str, float]:
        """The ground truth after the last reply."""
        return self.turns[-1].metrics if self.turns else self.metrics
