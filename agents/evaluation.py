"""Evaluation on a token environment: rewards, ground truth, and how far a policy has moved from where it began.

Scenarios are paired: episode k opens with seed + k whatever the policy does, so that two policies meet the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.base_class import BaseAlgorithm

from agents.estimates import Estimate, bootstrap
from agents.models import ModelSpec
from agents.packing import Packed, pack
from agents.policy import CausalLMPolicy
from agents.vocabulary import Shaping
from lm_envs.core import TextEnv

_LOGITS_AT_ONCE = 2**24  # 64 MB


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen.

    Attributes:
        temperature: 0 takes the most likely token; ``None`` is the policy's own.
        top_k: choose among so many most likely tokens; 0 for all.
        top_p: choose among the fewest most likely tokens that hold this share of the probability, at least one.
    """

    temperature: float | None = None
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if self.temperature is not None and not self.temperature >= 0:
            raise ValueError(f"temperature must be at least 0, got {self.temperature}")
        if self.top_k < 0:
            raise ValueError(f"top_k must be at least 0, got {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must lie in (0, 1], got {self.top_p}")

    def choose(self, logits: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """Ids of shape ``(n,)`` from logits ``(n, num_tokens)`` at temperature 1."""
        temperature = 1.0 if self.temperature is None else self.temperature
        if temperature == 0:
            return logits.argmax(dim=-1)
        logits = logits / temperature
        if 0 < self.top_k < logits.shape[1]:
            worst = logits.topk(self.top_k, dim=-1).values[:, -1:]
            logits = logits.masked_fill(logits < worst, -torch.inf)
        p = torch.softmax(logits, dim=-1)
        if self.top_p < 1:
            ranked, order = p.sort(dim=-1, descending=True)
            before = ranked.cumsum(dim=-1) - ranked  # the share of those more likely
            p = torch.zeros_like(p).scatter(1, order, ranked.masked_fill(before >= self.top_p, 0.0))
        return torch.multinomial(p, 1, generator=generator)[:, 0]


@dataclass(frozen=True)
class Episode:
    """One episode as it went.

    Attributes:
        seed: with which it opened.
        scenario: its id, where the environment gives one.
        prompt: the message that the agent answered first; the opening's tokens as text where the environment shows no messages.
        replies: what the agent wrote.
        reward: the sum over the episode.
        rewards: the same by component of the reward model.
        metrics: ground truth at the end.
        ids: all tokens, ``(length,)``.
        positions: of those that the agent wrote, in ``ids``.
    """

    seed: int
    scenario: str
    prompt: str
    replies: tuple[str, ...]
    reward: float
    rewards: Mapping[str, float]
    metrics: Mapping[str, float]
    ids: npt.NDArray[np.int64] = field(repr=False)
    positions: npt.NDArray[np.int64] = field(repr=False)


@dataclass(frozen=True)
class Evaluation:
    """Episodes and their means.

    Attributes:
        reward: of an episode.
        metrics: ground truth, by name.
        rewards: components of the reward, by name.
        tokens: written by the agent in an episode.
        episodes: in the order of their seeds.
    """

    reward: Estimate
    metrics: dict[str, Estimate]
    rewards: dict[str, Estimate]
    tokens: Estimate
    episodes: list[Episode]

    def to_json(self) -> dict[str, Any]:
        """Plain data, token ids left out."""
        episodes = [{key: value for key, value in vars(episode).items() if key not in ("ids", "positions")} for episode in self.episodes]
        means = {key: asdict(self)[key] for key in ("reward", "metrics", "rewards", "tokens")}
        return {**means, "episodes": [{**e, "tokens": len(o.positions)} for e, o in zip(episodes, self.episodes, strict=True)]}


def policy_for(env: VectorEnv[Any, Any, Any], model: str | Path | ModelSpec, **arguments: Any) -> CausalLMPolicy:
    """A policy for a token environment from a model's name or folder, or from a checkpoint; for evaluation.

    Args:
        env: the environment.
        model: as for ``make``; a checkpoint's folder brings its temperature and the rest along.
        arguments: of :class:`~agents.policy.CausalLMPolicy`.

    Raises:
        FileNotFoundError: when there is no such model.
    """
    from agents import checkpoint

    spaces = env.single_observation_space, env.single_action_space
    if isinstance(model, (str, Path)) and checkpoint.find(model):
        return checkpoint.load_policy(model, *spaces, **arguments)
    if not isinstance(model, ModelSpec):  # the policy itself would put off the error of a missing model
        model = ModelSpec.of(model, **{name: arguments.pop(name) for name in ("dtype", "attention", "lora") if name in arguments})
    return CausalLMPolicy(*spaces, lambda _: 0.0, model=model, **arguments)  # type: ignore[arg-type]


def evaluate(
    policy: CausalLMPolicy | BaseAlgorithm,
    env: VectorEnv[Any, Any, Any],
    episodes: int = 100,
    *,
    sampling: Sampling | None = None,
    seed: int = 0,
    sampling_seed: int | None = None,
    on_episode: Any = None,
) -> Evaluation:
    """Play whole episodes.

    Global generators are left alone, and so is the policy's training state.

    Args:
        policy: a policy, or an algorithm that has one.
        env: a token environment in SAME_STEP mode, not the one that is trained on; ``split="test"`` for unseen scenarios.
        episodes: how many.
        sampling: by default as in training.
        seed: episode k opens with ``seed + k``; also seeds sampling and bootstrap.
        sampling_seed: of sampling, where it isn't ``seed``: for another reply in the same scenario.
        on_episode: called with each finished :class:`Episode`.
    """
    if isinstance(policy, BaseAlgorithm):
        policy = cast(CausalLMPolicy, policy.policy)
    if env.metadata.get("autoreset_mode") is not AutoresetMode.SAME_STEP:
        raise ValueError("evaluate needs an environment with autoreset_mode=AutoresetMode.SAME_STEP")
    if episodes < 1:
        raise ValueError(f"episodes must be at least 1, got {episodes}")
    sampling = sampling or Sampling()
    training = policy.training
    policy.set_training_mode(False)
    policy.forget()
    try:
        with torch.no_grad():
            done = _play(policy, env, episodes, sampling, seed, seed if sampling_seed is None else sampling_seed, on_episode)
    finally:
        policy.forget()
        policy.set_training_mode(training)
    done.sort(key=lambda episode: episode.seed)
    return _summary(done, np.random.default_rng(seed))


def _play(
    policy: CausalLMPolicy,
    env: VectorEnv[Any, Any, Any],
    episodes: int,
    sampling: Sampling,
    seed: int,
    sampling_seed: int,
    on_episode: Any,
) -> list[Episode]:
    generator = torch.Generator(policy.device).manual_seed(sampling_seed)
    n = env.num_envs
    observations, infos = env.reset(seed=cast(Any, [seed + row for row in range(n)]))
    current = [_Recorder(seed + row, env, observations, infos, row) if row < episodes else None for row in range(n)]
    begun = min(n, episodes)
    done: list[Episode] = []
    while len(done) < episodes:
        tensors = {key: torch.as_tensor(value, device=policy.device) for key, value in observations.items()}
        states = policy.states(tensors, decode=True)
        temperature = policy.temperature if sampling.temperature is None else 1.0
        logits = Shaping(temperature, policy.forbidden)(policy.raw_logits(states))
        actions = sampling.choose(logits, generator).cpu().numpy()
        lengths = observations["attention_mask"].sum(axis=1)
        observations, rewards, terminations, truncations, infos = env.step(actions)
        fresh = np.zeros(n, dtype=np.bool_)
        seeds: list[int | None] = [None] * n
        for row, recorder in enumerate(current):
            if recorder is None:
                continue
            ended = bool(terminations[row] or truncations[row])
            recorder.add(int(actions[row]), int(lengths[row]), float(rewards[row]), _info(infos, row, ended))
            if ended:
                done.append(recorder.finish(infos["final_obs"][row]))
                if on_episode is not None:
                    on_episode(done[-1])
                current[row] = None
                if begun < episodes:
                    fresh[row], seeds[row] = True, seed + begun
                    begun += 1
        if fresh.any():
            observations, infos = env.reset(seed=cast(Any, seeds), options={"reset_mask": fresh})
            for row in np.flatnonzero(fresh).tolist():
                current[row] = _Recorder(cast(int, seeds[row]), env, observations, infos, row)
    return done


class _Recorder:
    """Gathers one episode."""

    def __init__(
        self, seed: int, env: VectorEnv[Any, Any, Any], observations: Mapping[str, Any], infos: Mapping[str, Any], row: int
    ) -> None:
        self.seed = seed
        self.scenario = str(infos["scenario"][row]) if "scenario" in infos else ""
        self.chat = getattr(env.unwrapped, "chat", None)
        length = int(observations["attention_mask"][row].sum())
        rows = getattr(env.unwrapped, "envs", None)
        whole = self._text(observations["input_ids"][row][:length])
        self.prompt = rows[row].messages[-1]["content"] if rows and isinstance(rows[row], TextEnv) else whole
        self.reward = 0.0
        self.rewards: dict[str, float] = {}
        self.metrics: dict[str, float] = {}
        self.replies: list[str] = []
        self.reply: list[int] = []
        self.positions: list[int] = []

    def add(self, action: int, position: int, reward: float, info: Mapping[str, Any]) -> None:
        self.reward += reward
        self.reply.append(action)
        self.positions.append(position)
        if info:
            self.replies.append(self._text(self.reply))
            self.reply = []
            self.metrics = dict(info.get("metrics", {}))
            for name, value in info.get("rewards", {}).items():
                self.rewards[name] = self.rewards.get(name, 0.0) + value

    def finish(self, observation: Mapping[str, Any]) -> Episode:
        ids = np.asarray(observation["input_ids"])[: int(observation["attention_mask"].sum())].astype(np.int64)
        if self.reply:
            self.replies.append(self._text(self.reply))
        positions = np.array([position for position in self.positions if position < len(ids)], dtype=np.int64)
        return Episode(self.seed, self.scenario, self.prompt, tuple(self.replies), self.reward, self.rewards, self.metrics, ids, positions)

    def _text(self, ids: Sequence[int] | npt.NDArray[Any]) -> str:
        if self.chat is None:
            return ""
        special = self.chat.stop_ids | self.chat.forbidden_ids
        return cast(str, self.chat.decode([int(i) for i in ids if int(i) not in special]))


def _info(infos: Mapping[str, Any], row: int, ended: bool) -> dict[str, Any]:
    source = infos.get("final_info", {}) if ended else infos
    mask = source.get("_metrics")
    if mask is None or not mask[row]:
        return {}
    return {name: _entries(source[name], row) for name in ("metrics", "rewards") if name in source}


def _entries(values: Mapping[str, Any], row: int) -> dict[str, float]:
    return {name: float(value[row]) for name, value in values.items() if f"_{name}" in values and values[f"_{name}"][row]}


def _summary(episodes: list[Episode], rng: np.random.Generator) -> Evaluation:
    def by_name(tables: list[Mapping[str, float]]) -> dict[str, Estimate]:
        names = dict.fromkeys(name for table in tables for name in table)
        return {name: bootstrap([table[name] for table in tables if name in table], rng) for name in names}

    return Evaluation(
        reward=bootstrap([episode.reward for episode in episodes], rng),
        metrics=by_name([episode.metrics for episode in episodes]),
        rewards=by_name([episode.rewards for episode in episodes]),
        tokens=bootstrap([len(episode.positions) for episode in episodes], rng),
        episodes=episodes,
    )


@dataclass(frozen=True)
class Divergence:
    """KL(policy ‖ reference) in nats, of whole next-token distributions, in the states that the policy's episodes passed through.

    Attributes:
        per_token: mean over the agent's tokens; the interval resamples episodes.
        per_episode: mean over episodes of the sum over their tokens, which is the KL divergence of episodes.
        sampled: mean over episodes of the sum of log π − log π_ref of the tokens that were written; as ``per_episode``, with more noise.
    """

    per_token: Estimate
    per_episode: Estimate
    sampled: Estimate


def kl_from(policy: CausalLMPolicy, reference: CausalLMPolicy | None, episodes: Sequence[Episode], *, seed: int = 0) -> Divergence:
    """How far a policy is from a reference.

    It is exact for each state; the mean estimates the KL divergence where the episodes were sampled from ``policy`` as in training
    (:func:`evaluate` without ``sampling``). Both distributions are taken at the policy's temperature, forbidden tokens masked.

    Args:
        policy: that wrote the episodes.
        reference: of the same tokenizer; ``None``: a LoRA policy without its adapter.
        episodes: from :func:`evaluate`.
        seed: of the bootstrap.
    """
    if not any(len(episode.positions) for episode in episodes):
        raise ValueError("the episodes hold no token of the agent")
    exact, sampled = [], []
    with torch.no_grad():
        for group in _groups(episodes):
            packed = _pack(group, policy.device)
            actions = torch.from_numpy(np.concatenate([e.ids[e.positions] for e in group])).to(policy.device)
            ours = policy.states(packed)
            if reference is None:
                with policy.without_adapter():
                    theirs = policy.states(packed)
            else:
                theirs = reference.states(packed.to(reference.device)).to(policy.device)
            rows = max(1, _LOGITS_AT_ONCE // policy.num_tokens)
            for a, b, action in zip(ours.split(rows), theirs.split(rows), actions.split(rows), strict=True):
                p = torch.log_softmax(policy.logits(a), dim=-1)
                q = torch.log_softmax(
                    policy.shape_logits((reference or policy).raw_logits(b.to((reference or policy).device)).to(p.device)), dim=-1
                )
                exact.append((p.exp() * (p - q)).sum(dim=-1).double().cpu().numpy())
                sampled.append((p - q).gather(1, action[:, None])[:, 0].double().cpu().numpy())
    counts = np.array([len(episode.positions) for episode in episodes if len(episode.positions)])
    of_episode = np.repeat(np.arange(len(counts)), counts)
    sums = np.bincount(of_episode, np.concatenate(exact)).astype(np.float64)
    rng = np.random.default_rng(seed)
    return Divergence(
        ratio(sums, counts, rng),
        bootstrap(sums, rng),
        bootstrap(np.bincount(of_episode, np.concatenate(sampled)), rng),
    )


def surprise(policy: CausalLMPolicy, episodes: Sequence[Episode]) -> npt.NDArray[np.float64]:
    """How surprising the tokens that an agent wrote are to another policy: sums of −log π(token | what stands before it), in nats.

    Args:
        policy: that is surprised, at its temperature, forbidden tokens masked.
        episodes: from :func:`evaluate`, of an agent with the same tokenizer.

    Returns:
        Of shape ``(len(episodes),)``; 0 for an episode without tokens of the agent.
    """
    found = []
    with torch.no_grad():
        for group in _groups(episodes):
            if not group:
                continue
            actions = torch.from_numpy(np.concatenate([e.ids[e.positions] for e in group])).to(policy.device)
            states = policy.states(_pack(group, policy.device))
            rows = max(1, _LOGITS_AT_ONCE // policy.num_tokens)
            for state, action in zip(states.split(rows), actions.split(rows), strict=True):
                logs = torch.log_softmax(policy.logits(state), dim=-1)
                found.append(-logs.gather(1, action[:, None])[:, 0].double().cpu().numpy())
    counts = [len(episode.positions) for episode in episodes]
    return np.bincount(np.repeat(np.arange(len(counts)), counts), np.concatenate([*found, np.zeros(0)]), len(counts)).astype(np.float64)


def ratio(sums: npt.NDArray[np.float64], counts: npt.NDArray[np.int64], rng: np.random.Generator) -> Estimate:
    """The sum of all ``sums`` over that of all ``counts``, ``(n,)`` each; the interval resamples both together."""
    draws = rng.integers(len(counts), size=(2000, len(counts)))
    low, high = np.quantile(sums[draws].sum(axis=1) / np.maximum(counts[draws].sum(axis=1), 1), [0.025, 0.975])
    return Estimate(float(sums.sum() / max(counts.sum(), 1)), float(low), float(high))


def _groups(episodes: Sequence[Episode], tokens: int = 4096) -> list[list[Episode]]:
    """Episodes in their order, in groups of about so many tokens."""
    groups: list[list[Episode]] = [[]]
    size = 0
    for episode in episodes:
        if not len(episode.positions):
            continue
        if groups[-1] and size + len(episode.ids) > tokens:
            groups.append([])
            size = 0
        groups[-1].append(episode)
        size += len(episode.ids)
    return groups


def _pack(episodes: Sequence[Episode], device: torch.device) -> Packed:
    """The states in which the agent wrote: each token was chosen after the one before it."""
    row = np.repeat(np.arange(len(episodes)), [len(e.positions) for e in episodes])
    return pack([e.ids for e in episodes], row, np.concatenate([e.positions for e in episodes]) - 1, device)
