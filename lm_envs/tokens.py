"""`TokenEnv`: the same conversation, one token at a time.

observation: the ids so far, padded on the right      action: the id of the next token
A reply ends at a stop token; the text environment answers, and its answer is appended as ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, cast

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from lm_envs import rewards
from lm_envs.chat import ChatFormat
from lm_envs.core import TextEnv, TextState, at_least
from lm_envs.spaces import Conversation, TokenSpace, Utterance
from lm_envs.types import Messages, RewardModel

if TYPE_CHECKING:
    from transformers import TokenizersBackend

Observation = dict[str, npt.NDArray[Any]]

VIOLATIONS = "forbidden_tokens"  # the metric that counts them


class TokenState(TypedDict):
    """A point of a token-level episode as plain data (JSON)."""

    text: TextState | None
    ids: list[int]
    reply_start: int
    violations: int
    over: bool


class TokenEnv(gym.Env[Observation, np.int64]):
    """A text environment whose actions are token ids.

    Observation: ``{"input_ids", "attention_mask"}``, int64 and int8 arrays of shape ``(max_length,)``, padded on the right. Within
    an episode every observation is a prefix of the next: what the agent wrote is never decoded and encoded again.

    Action: a member of :class:`~lm_envs.spaces.TokenSpace`. A stop token ends the reply, and so does the ``max_reply_tokens``-th token;
    a forbidden token ends it too, is not written, and is counted in ``info["metrics"]["forbidden_tokens"]``.

    Reward: that of the text environment, on the reply's last token; 0 on the others. With a ``potential`` each token is further paid by how
    much it raises a potential Φ, a reward model's score of the reply so far: r + Φ(s') - Φ(s), where Φ is 0 before the first token of a
    reply and after its last. A reply's tokens so sum to its reward, whatever Φ is, and with γ = 1 no policy gains or loses by it (A. Ng,
    D. Harada, S. Russell, "Policy Invariance Under Reward Transformations", ICML 1999); what changes is how soon a token hears of what
    it has done.

    Termination: when the text environment terminates. Truncation: when the context is full; a reply in progress is then cut and scored.

    Info: that of the text environment on a reply's last token; empty on the others.

    Args:
        env: an environment with ``Conversation`` observations and ``Utterance`` actions.
        tokenizer: a tokenizer, or a name or path that ``load_tokenizer`` knows; by default the bundled model's.
        max_length: length of the context in tokens.
        max_reply_tokens: tokens a reply may have.
        plain: write conversations as plain lines, not by the tokenizer's chat template.
        potential: Φ, a registered name or a reward model that can judge unfinished replies (a lexicon or a classifier can, one that
            reads the world's signals can't: it sees none); called once a token. Needs a :class:`~lm_envs.core.TextEnv`.

    Raises:
        TypeError: when the tokenizer isn't one of the `tokenizers` library, or there is a ``potential`` and no ``TextEnv``.
        ValueError: when nothing can end a reply, or (on reset) when the opening leaves no room for a reply.
    """

    def __init__(
        self,
        env: gym.Env[Messages, str],
        tokenizer: TokenizersBackend | str | Path | None = None,
        *,
        max_length: int = 1024,
        max_reply_tokens: int = 64,
        plain: bool = False,
        potential: str | RewardModel | None = None,
    ) -> None:
        check_text_spaces(env)
        self.env = env
        self.potential = None if potential is None else rewards.resolve(potential)
        if self.potential is not None:
            self._text_env()
        self.tokenizer = load_tokenizer(tokenizer)
        self.chat = chat_format(self.tokenizer, plain, getattr(env.unwrapped, "tools", ()))
        self.max_length = at_least("max_length", max_length, 2)
        self.max_reply_tokens = at_least("max_reply_tokens", max_reply_tokens, 1)
        self.observation_space = token_observations(self.chat, self.max_length)  # type: ignore[assignment]
        self.action_space = TokenSpace(self.chat.vocab_size, self.chat.forbidden_ids)
        self.metadata = env.metadata
        self.render_mode = env.render_mode
        self._reply_chars = cast(Utterance, env.action_space).max_chars
        self._ids: list[int] = []
        self._reply_start = 0
        self._messages: Messages = ()
        self._violations = 0
        self._phi = 0.0
        self._over = True

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode; the observation ends where the first reply begins."""
        messages, info = self.env.reset(seed=seed, options=options)
        self._np_random, self._np_random_seed = self.env.unwrapped.np_random, self.env.unwrapped.np_random_seed
        self._messages = messages
        self._over = False
        self._ids = opening_ids(self.chat, messages, self.max_length)
        self._reply_start = len(self._ids)
        self._violations, self._phi = 0, 0.0
        info["metrics"] = {**info.get("metrics", {}), VIOLATIONS: 0.0}
        return self._observation(), info

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Write one token."""
        if not self.action_space.contains(action):
            raise gym.error.InvalidAction(f"a token id lies in [0, {self.chat.vocab_size}); got {action!r}")
        if self._over:
            raise gym.error.ResetNeeded("TokenEnv: call reset before step")
        token = int(action)
        forbidden = token in self.chat.forbidden_ids
        if forbidden:
            self._violations += 1
        else:
            self._ids.append(token)
        stopped = token in self.chat.stop_ids
        length = len(self._ids)
        if not (forbidden or stopped or length - self._reply_start >= self.max_reply_tokens or length >= self.max_length):
            last, self._phi = self._phi, self._phi_now()
            return self._observation(), self._phi - last, False, False, {}
        last, self._phi = self._phi, 0.0
        before = len(self._messages)
        reply = reply_text(self.chat, self._ids[self._reply_start : length - stopped], self._reply_chars)
        self._messages, reward, terminated, truncated, info = self.env.step(reply)
        if not (terminated or truncated):
            following = self.chat.close(token if stopped else None, self._messages[before + 1 :], prompt=True)
            truncated = length + len(following) >= self.max_length
            if not truncated:
                self._ids.extend(following)
                self._reply_start = len(self._ids)
        self._over = terminated or truncated
        info["metrics"] = {**info.get("metrics", {}), VIOLATIONS: float(self._violations)}
        return self._observation(), float(reward) - last, terminated, truncated, info

    def render(self) -> Any:
        """What the text environment renders."""
        return self.env.render()

    def close(self) -> None:
        """Close the text environment."""
        self.env.close()

    def get_state(self) -> TokenState:
        """The state as plain data; needs a :class:`~lm_envs.core.TextEnv`."""
        return TokenState(
            text=self._text_env().get_state(),
            ids=list(self._ids),
            reply_start=self._reply_start,
            violations=self._violations,
            over=self._over,
        )

    def set_state(self, state: TokenState) -> None:
        """Come back to a state of :meth:`get_state`."""
        env = self._text_env()
        if state["text"] is not None:
            env.set_state(state["text"])
        self._np_random, self._over = env.np_random, state["over"]
        self._messages = env.messages
        self._ids, self._reply_start = list(state["ids"]), state["reply_start"]
        self._violations = state["violations"]
        self._phi = 0.0 if self._over else self._phi_now()

    def expert_tokens(self) -> list[int]:
        """The scripted expert's next reply as ids; needs a :class:`~lm_envs.core.TextEnv`."""
        return self.chat.encode_reply(self._text_env().expert_reply())

    def _phi_now(self) -> float:
        """Φ of the reply in progress."""
        reply = self._ids[self._reply_start :]
        if self.potential is None or not reply:
            return 0.0
        return rewards.score(self.potential, [self._text_env().so_far(reply_text(self.chat, reply, self._reply_chars))])[0].total

    def _text_env(self) -> TextEnv:
        env = self.env.unwrapped
        if not isinstance(env, TextEnv):
            raise TypeError(f"{type(env).__name__} is not a TextEnv: it has neither states, nor an expert, nor a potential")
        return env

    def _observation(self) -> Observation:
        length = len(self._ids)
        ids = np.full(self.max_length, self.chat.pad_id, dtype=np.int64)
        ids[:length] = self._ids
        mask = np.zeros(self.max_length, dtype=np.int8)
        mask[:length] = 1
        return {"input_ids": ids, "attention_mask": mask}


def check_text_spaces(env: gym.Env[Any, Any]) -> None:
    """Raise a ``TypeError`` unless ``env`` speaks text."""
    if not isinstance(env.observation_space, Conversation) or not isinstance(env.action_space, Utterance):
        found = f"{env.observation_space} and {env.action_space}"
        raise TypeError(f"a text environment has Conversation observations and Utterance actions; {env} has {found}")


def token_observations(chat: ChatFormat, max_length: int) -> spaces.Dict:
    """The observation space of a context of ``max_length`` tokens."""
    return spaces.Dict(
        {
            "input_ids": spaces.Box(0, chat.vocab_size - 1, (max_length,), np.int64),
            "attention_mask": spaces.Box(0, 1, (max_length,), np.int8),
        }
    )


def chat_format(tokenizer: TokenizersBackend, plain: bool, tools: Sequence[Mapping[str, Any]]) -> ChatFormat:
    """The chat format of an environment, with its tools where the chat template is to describe them.

    Raises:
        ValueError: when the tokenizer's chat template doesn't describe tools.
    """
    if not tools:
        return ChatFormat(tokenizer, plain=plain)
    bare, described = (ChatFormat(tokenizer, plain=plain, template_kwargs=kwargs) for kwargs in ({}, {"tools": list(tools)}))
    question: Messages = ({"role": "system", "content": "x"}, {"role": "user", "content": "x"})
    if bare.open(question) == described.open(question):
        raise ValueError("the tokenizer's chat template doesn't describe tools; let the environment's system message do it")
    return described


def opening_ids(chat: ChatFormat, messages: Messages, max_length: int) -> list[int]:
    """The ids of an opening; a ``ValueError`` when they leave no room for a reply."""
    ids = chat.open(messages)
    if len(ids) >= max_length:
        raise ValueError(f"the prompt has {len(ids):,} tokens and leaves no room for a reply: max_length is {max_length:,}")
    return ids


def reply_text(chat: ChatFormat, ids: Sequence[int], max_chars: int) -> str:
    """The text of a reply. A token can spell dozens of characters, so the text environment's limit is kept here."""
    return chat.decode(ids)[:max_chars]


def load_tokenizer(tokenizer: TokenizersBackend | str | Path | None) -> TokenizersBackend:
    """A tokenizer by the name of an asset, a local path or a model hub's name; a tokenizer is returned as it is.

    Raises:
        ValueError: when there is none of that name.
    """
    if tokenizer is None:
        tokenizer = "tiny"
    if not isinstance(tokenizer, (str, Path)):
        return tokenizer
    from transformers import AutoTokenizer  # slow to import, and not needed by text environments

    from lm_envs import assets

    source = assets.path(str(tokenizer)) if str(tokenizer) in assets.MODELS else tokenizer
    try:
        return cast("TokenizersBackend", AutoTokenizer.from_pretrained(source))
    except (OSError, ValueError) as error:
        known = ", ".join(sorted(assets.MODELS))
        raise ValueError(f"no tokenizer at {str(tokenizer)!r} (known names: {known}; or a local path or a hub name): {error}") from error
