"""What an agent is shown of a conversation: with the rules or without, all of it or no more than what it was told last."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gymnasium as gym

from lm_envs.core import TextEnv
from lm_envs.types import Messages
from lm_envs.vector import Outcome, TokenVectorEnv


def seen(messages: Messages, rules: bool, memory: bool) -> Messages:
    """What is shown of a conversation.

    Args:
        messages: the conversation.
        rules: whether the system message is shown.
        memory: whether all else is shown, or only the last message that isn't the agent's.
    """
    system = tuple(message for message in messages if message["role"] == "system") if rules else ()
    told = tuple(message for message in messages if message["role"] != "system")
    return (*system, *(told if memory else [message for message in told if message["role"] != "assistant"][-1:]))


class View(gym.ObservationWrapper[Messages, str, Messages]):
    """A text environment that shows :func:`seen`.

    Without memory its observations don't grow, so that ``lm_envs.tokenize`` can't make a token environment of it: see
    :class:`TokenViews`.
    """

    def __init__(self, env: gym.Env[Messages, str], rules: bool, memory: bool) -> None:
        super().__init__(env)
        self._rules, self._memory = rules, memory

    def observation(self, observation: Messages) -> Messages:
        """What is left of a conversation."""
        return seen(observation, self._rules, self._memory)


class TokenViews(TokenVectorEnv):
    """Token environments that show what :class:`View` does; customers, rewards and the ends of episodes are the same.

    Without memory the context begins anew with each reply: within a reply each observation is a prefix of the next, as ever; between
    replies it isn't.
    """

    def __init__(self, envs: Iterable[TextEnv], *arguments: Any, rules: bool, memory: bool, **more: Any) -> None:
        super().__init__(envs, *arguments, **more)
        self._rules, self._memory = rules, memory

    def _open(self, row: int, seed: int | None, options: dict[str, Any]) -> dict[str, Any]:
        info = super()._open(row, seed, options)
        self._begin(row)
        return info

    def _answer(self, outcome: Outcome, stop: int | None) -> Outcome:
        outcome = super()._answer(outcome, stop)
        if not (self._memory or outcome.terminated or outcome.truncated):
            self._begin(outcome.row)
        return outcome

    def _begin(self, row: int) -> None:
        """Show a row's conversation from the beginning of a context."""
        self._lengths[row] = 0
        self._append(row, self.chat.open(seen(self.envs[row].messages, self._rules, self._memory)))
