"""The few types that every layer shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypedDict, runtime_checkable

from typing_extensions import NotRequired

Role = Literal["system", "user", "assistant", "tool"]
Split = Literal["train", "test"]

ROLES: tuple[Role, ...] = ("system", "user", "assistant", "tool")
SPLITS: tuple[Split, ...] = ("train", "test")


class Message(TypedDict):
    """One message of a conversation; a tool message also says which tool wrote it."""

    role: Role
    content: str
    name: NotRequired[str]


Messages = tuple[Message, ...]


@dataclass(frozen=True)
class Exchange:
    """What a reward model judges: a conversation up to and including one reply.

    Attributes:
        messages: the conversation; the last message is the agent's reply.
        scenario: what a judge may know of the scenario (always an ``"id"``; the sentiment family adds the
            ``"target"``, for example). Agents never see it.
        ended: whether the episode ended with this reply, by success, failure or lack of room.
        signals: this turn's feedback from the simulated world, by name (a change in a customer's satisfaction, a
            fact learnt). What each name means and its range is in the environment's docstring.
        metrics: the episode's ground-truth metrics after this reply.
    """

    messages: Messages
    scenario: Mapping[str, Any] = field(default_factory=dict)
    ended: bool = True
    signals: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def reply(self) -> str:
        """The text under judgement."""
        return self.messages[-1]["content"]


@runtime_checkable
class RewardModel(Protocol):
    """Any callable from a batch of exchanges to as many finite scores; a plain function qualifies."""

    def __call__(self, exchanges: Sequence[Exchange], /) -> Sequence[float]:
        """Score a batch of exchanges."""
        ...
