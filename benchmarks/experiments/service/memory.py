"""An agent without memory: all that it sees of a conversation is the system message and the last thing that it was told."""

from __future__ import annotations

import gymnasium as gym

from lm_envs.types import Messages
from lm_envs.vector import Outcome, TokenVectorEnv


def last_message(messages: Messages) -> Messages:
    """The system message, if there is one, and the last message that isn't the agent's."""
    told = [message for message in messages if message["role"] not in ("system", "assistant")]
    return (*(message for message in messages[:1] if message["role"] == "system"), *told[-1:])


class LastMessage(gym.ObservationWrapper[Messages, str, Messages]):
    """A text environment that shows no more than :func:`last_message`.

    Its observations don't grow, so ``lm_envs.tokenize`` can't make a token environment of it: that is :class:`LastMessageTokens`.
    """

    def observation(self, observation: Messages) -> Messages:
        """What is left of a conversation."""
        return last_message(observation)


class LastMessageTokens(TokenVectorEnv):
    """Token environments in which the context begins anew with each reply, with what :class:`LastMessage` shows.

    Within a reply each observation is a prefix of the next, as ever; between replies it isn't. Everything else is the same: the
    customers, the rewards, when an episode ends.
    """

    def _answer(self, outcome: Outcome, stop: int | None) -> Outcome:
        outcome = super()._answer(outcome, stop)
        if not (outcome.terminated or outcome.truncated):
            self._lengths[outcome.row] = 0
            self._append(outcome.row, self.chat.open(last_message(self.envs[outcome.row].messages)))
        return outcome
