"""One episode of a model's, token by token: what it wrote, how likely that was, what its critic expected, how far it is from a reference.

env = token_env("lm_envs/CustomerServiceTokens-v0", "runs/ppo")
html.write(record(policy_of(env, "runs/ppo"), env, seed=7), "episode.html")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from agents.evaluation import Sampling, policy_for
from agents.models import ModelSpec
from agents.packing import pack
from agents.policy import CausalLMPolicy
from agents.vocabulary import CHUNK, Shaping
from lm_envs.chat import ChatFormat
from lm_envs.tokens import TokenEnv
from lm_envs.transcripts import TokenTrace, Transcript, Turn
from lm_envs.validation import text_env


def token_env(env_id: str, model: str | Path, env_kwargs: Mapping[str, Any] | None = None) -> TokenEnv:
    """One token environment, with the model's tokenizer where ``env_kwargs`` name none.

    Raises:
        ValueError: for the id of something else.
    """
    kwargs = dict(env_kwargs or {})
    tokens_id = gym.spec(env_id).id.replace("-v", "Tokens-v")
    if tokens_id in gym.registry:
        raise ValueError(f"{env_id} speaks text; agents that write tokens need {tokens_id}")
    if str(model) != "tiny":  # whose tokenizer is the default of every token environment
        kwargs.setdefault("tokenizer", str(model))
    env = gym.make(env_id, disable_env_checker=True, **kwargs).unwrapped
    if not isinstance(env, TokenEnv):
        raise ValueError(f"{env_id} is a {type(env).__name__}; expected a token environment of lm_envs")
    return env


def policy_of(env: TokenEnv, model: str | Path | ModelSpec, **arguments: Any) -> CausalLMPolicy:
    """A policy for one token environment; arguments are those of :func:`~agents.evaluation.policy_for`."""
    spaces = SyncVectorEnv([lambda: env], autoreset_mode=AutoresetMode.SAME_STEP)  # never stepped
    return policy_for(spaces, model, **arguments)


@torch.no_grad()
def record(
    policy: CausalLMPolicy,
    env: TokenEnv,
    *,
    name: str = "",
    seed: int = 0,
    sampling: Sampling | None = None,
    reference: CausalLMPolicy | None = None,
    critic: bool = True,
    details: Mapping[str, str | int | float] | None = None,
) -> Transcript:
    """Play one episode.

    The episode is the one of :func:`~agents.evaluation.evaluate` with one environment and the same seed. Log-probabilities, values and KL
    are those of the policy as it is trained, at its own temperature, whatever ``sampling`` is.

    Args:
        policy: that writes.
        env: a token environment around a :class:`~lm_envs.core.TextEnv`.
        name: id of the environment; by default its own.
        seed: of the scenario and of sampling.
        sampling: by default as in training.
        reference: a policy of the same tokenizer to measure the KL divergence from; ``policy`` itself stands for what it is without its
            LoRA adapter; ``None``: no KL.
        critic: whether the policy has a value head worth looking at.
        details: for the transcript.
    """
    training = policy.training
    policy.set_training_mode(False)
    policy.forget()
    try:
        written, opening, info, end, ids = _play(policy, env, seed, sampling or Sampling())
        positions = np.array([place for turn in written for place in turn.positions], dtype=np.int64)
        columns = _score(policy, reference, ids, positions)
    finally:
        policy.forget()
        policy.set_training_mode(training)
    turns, begin = [], 0
    for turn in written:
        part = slice(begin, begin + len(turn.positions))
        begin = part.stop
        trace = TokenTrace(
            pieces(env.chat, turn.tokens),
            tuple(turn.rewards),
            tuple(columns["log_probs"][part]),
            tuple(columns["values"][part]) if critic else None,
            tuple(columns["kl"][part]) if "kl" in columns else None,
        )
        turns.append(turn.told(trace))
    spec = text_env(env).spec
    return Transcript(
        name or (spec.id if spec else type(text_env(env)).__name__),
        info.get("scenario", ""),
        opening,
        tuple(turns),
        info.get("metrics", {}),
        details or {},
        end,
    )


def pieces(chat: ChatFormat, ids: Sequence[int]) -> tuple[str, ...]:
    """The text of each token of a reply; a character of several tokens stands at the last of them."""
    found, shown = [], ""
    for place, token in enumerate(ids):
        if token in chat.stop_ids or token in chat.forbidden_ids:
            found.append(str(chat.tokenizer.convert_ids_to_tokens(token)))
            continue
        text = chat.decode(list(ids[: place + 1]))
        if text.endswith("\ufffd") and place + 1 < len(ids):
            found.append("")
            continue
        found.append(text[len(shown) :] if text.startswith(shown) else chat.decode([token]))
        shown = text
    return tuple(found)


class _Written:
    """A reply as it is being written."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.positions: list[int] = []  # in the ids of the episode
        self.rewards: list[float] = []
        self.messages: Any = ()  # from the reply on
        self.info: dict[str, Any] = {}

    def told(self, trace: TokenTrace) -> Turn:
        """The turn, when it is over."""
        reply, *answers = self.messages
        return Turn(
            reply["content"],
            tuple(answers),
            sum(self.rewards),
            self.info.get("rewards", {}),
            self.info.get("metrics", {}),
            trace,
        )


def _play(
    policy: CausalLMPolicy, env: TokenEnv, seed: int, sampling: Sampling
) -> tuple[list[_Written], Any, dict[str, Any], str, npt.NDArray[np.int64]]:
    """Replies, opening, first info, end, and all ids."""
    generator = torch.Generator(policy.device).manual_seed(seed)
    temperature = policy.temperature if sampling.temperature is None else 1.0
    shaping = Shaping(temperature, policy.forbidden)
    observation, opened = env.reset(seed=seed)
    inner = text_env(env)
    opening = inner.messages
    known, turns, end = len(opening), [_Written()], ""
    while not end:
        tensors = {key: torch.as_tensor(value[None], device=policy.device) for key, value in observation.items()}
        logits = shaping(policy.raw_logits(policy.states(tensors, decode=True)))
        token = int(sampling.choose(logits, generator)[0])
        turns[-1].tokens.append(token)
        turns[-1].positions.append(int(observation["attention_mask"].sum()))
        observation, reward, terminated, truncated, info = env.step(token)
        turns[-1].rewards.append(float(reward))
        end = "terminated" if terminated else "truncated" if truncated else ""
        if info:
            messages = inner.messages
            turns[-1].messages, turns[-1].info = messages[known:], info
            known = len(messages)
            if not end:
                turns.append(_Written())
    return turns, opening, opened, end, observation["input_ids"][: int(observation["attention_mask"].sum())]


def _score(
    policy: CausalLMPolicy, reference: CausalLMPolicy | None, ids: npt.NDArray[np.int64], positions: npt.NDArray[np.int64]
) -> dict[str, list[float]]:
    """What is known of each token that stands at one of ``positions``: it was chosen in the state after the token before it."""
    packed = pack([ids], np.zeros(len(positions), dtype=np.int64), positions - 1, policy.device)
    actions = torch.from_numpy(ids[positions]).to(policy.device)
    other = reference or policy
    ours = policy.states(packed)
    with _as_reference(policy, reference):
        theirs = other.states(packed.to(other.device)) if reference else None
    log_probs, kl = [], []
    rows = max(1, CHUNK // policy.num_tokens)
    for begin in range(0, len(actions), rows):
        part = slice(begin, begin + rows)
        log_p = torch.log_softmax(policy.logits(ours[part]), dim=-1)
        log_probs.append(log_p.gather(1, actions[part, None])[:, 0])
        if theirs is not None:
            with _as_reference(policy, reference):
                raw = other.raw_logits(theirs[part]).to(policy.device)
            kl.append((log_p.exp() * (log_p - torch.log_softmax(policy.shape_logits(raw), dim=-1))).sum(dim=-1))
    columns = {"log_probs": torch.cat(log_probs), "values": policy.values(ours)[:, 0]} | ({"kl": torch.cat(kl)} if kl else {})
    return {name: column.double().cpu().tolist() for name, column in columns.items()}


def _as_reference(policy: CausalLMPolicy, reference: CausalLMPolicy | None) -> AbstractContextManager[None]:
    """Where the reference is the policy without its adapter, the adapter is off."""
    return policy.without_adapter() if reference is policy else nullcontext()
