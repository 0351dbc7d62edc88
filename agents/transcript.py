"""One episode of a model's, token by token: what it wrote, how likely that was, what its critic expected, how far it is from a reference.

env = token_env("lm_envs/CustomerServiceTokens-v0", "runs/ppo")
html.write(record(policy_of(env, "runs/ppo"), env, seed=7), "episode.html")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
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
from lm_envs.transcripts import TokenTrace, Transcript
from lm_envs.validation import Episode, Turn, text_env


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
        episode, replies, ids = _play(policy, env, seed, sampling or Sampling())
        columns = _score(policy, reference, ids, np.array([place for reply in replies for place in reply.positions], dtype=np.int64))
    finally:
        policy.forget()
        policy.set_training_mode(training)
    if not critic:
        del columns["values"]
    spec = text_env(env).spec
    shown = Transcript.of(episode, env=name or (spec.id if spec else type(text_env(env)).__name__), details=details)
    left = {name: iter(column) for name, column in columns.items()}
    turns = []
    for turn, reply in zip(shown.turns, replies, strict=True):
        known = {name: tuple(islice(column, len(reply.positions))) for name, column in left.items()}
        text = pieces(env.chat, ids[reply.positions].tolist())
        turns.append(replace(turn, tokens=TokenTrace(text, tuple(reply.rewards), **known)))
    return replace(shown, turns=tuple(turns))


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


@dataclass(frozen=True)
class _Reply:
    """The tokens of a reply: where they stand in the ids of the episode, and the reward of each."""

    positions: list[int] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)


def _play(policy: CausalLMPolicy, env: TokenEnv, seed: int, sampling: Sampling) -> tuple[Episode, list[_Reply], npt.NDArray[np.int64]]:
    """The episode, the tokens of each of its replies, and all ids."""
    generator = torch.Generator(policy.device).manual_seed(seed)
    temperature = policy.temperature if sampling.temperature is None else 1.0
    shaping = Shaping(temperature, policy.forbidden)
    observation, info = env.reset(seed=seed)
    inner = text_env(env)
    episode, replies = Episode(inner.messages, info, []), [_Reply()]
    over = False
    while not over:
        tensors = {key: torch.as_tensor(value[None], device=policy.device) for key, value in observation.items()}
        logits = shaping(policy.raw_logits(policy.states(tensors, decode=True)))
        token = int(sampling.choose(logits, generator)[0])
        replies[-1].positions.append(int(observation["attention_mask"].sum()))
        observation, reward, terminated, truncated, info = env.step(token)
        replies[-1].rewards.append(float(reward))
        over = terminated or truncated
        if info:  # the reply has ended
            episode.turns.append(Turn(inner.messages, sum(replies[-1].rewards), terminated, truncated, info))
            if not over:
                replies.append(_Reply())
    return episode, replies, observation["input_ids"][: int(observation["attention_mask"].sum())]


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
