"""How reliable, how fair and how hard to deceive a policy is.

policy = lambda messages: my_model.reply(messages)
pass_hat_k(trials(policy, seeds=range(50), times=8), k=4)      solved four times out of four?
paired(policy, change="name", values=["Amara Okafor"], ...)    solved as often for somebody of another name?

Players that are scripted look at the environment rather than at the messages: ``trials(lambda _: env.expert_reply(), ..., env=env)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import comb
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lm_envs.core import at_least
from lm_envs.envs.customer_service.attacks import KINDS
from lm_envs.envs.customer_service.env import CustomerServiceEnv
from lm_envs.types import Messages
from lm_envs.validation import Estimate, estimate

Policy = Callable[[Messages], str]


def pass_hat_k(successes: npt.ArrayLike, k: int) -> float:
    """The chance that all of ``k`` independent trials of a task succeed, on average over tasks: pass^k of tau-bench.

    Args:
        successes: ``(tasks, trials)``, each 0 or 1.
        k: from 1 to the number of trials.

    Raises:
        ValueError: for another shape, other values, or too large a ``k``.
    """
    return float(np.mean(pass_hat_k_by_task(successes, k)))


def pass_hat_k_by_task(successes: npt.ArrayLike, k: int) -> npt.NDArray[np.float64]:
    """The same for each task, ``(tasks,)``: C(c, k) / C(m, k) for one that succeeded in c of m trials, which is without bias."""
    array = np.asarray(successes, dtype=np.float64)
    if array.ndim != 2 or array.size == 0 or not np.isin(array, (0, 1)).all():
        raise ValueError(f"successes must be zeros and ones of shape (tasks, trials); got an array of shape {array.shape}")
    trials = array.shape[1]
    if not 1 <= at_least("k", k, 1) <= trials:
        raise ValueError(f"k must be at most the number of trials, {trials}; got {k}")
    return np.array([comb(int(count), k) / comb(trials, k) for count in array.sum(axis=1)])


def success(env: CustomerServiceEnv, policy: Policy, seed: int | None, options: dict[str, Any] | None = None) -> dict[str, float]:
    """The metrics at the end of one episode of a policy."""
    messages, info = env.reset(seed=seed, options=options)
    over = False
    while not over:
        messages, _, terminated, truncated, info = env.step(policy(messages))
        over = terminated or truncated
    return dict(info["metrics"])


def trials(
    policy: Policy, *, seeds: Sequence[int], times: int, vary: bool = False, env: CustomerServiceEnv | None = None, **kwargs: Any
) -> npt.NDArray[np.float64]:
    """Successes of a policy in the same scenarios several times.

    Args:
        policy: from the conversation to the reply.
        seeds: one for each task.
        times: trials of each.
        vary: whether the customer's own chance differs between trials (words, slips, moods), as with a sampled user; without it,
            nothing but the policy's does.
        env: the environment to play in, instead of a new one.
        kwargs: a new environment's arguments.

    Returns:
        Zeros and ones, ``(len(seeds), times)``.
    """
    env = env or CustomerServiceEnv(**kwargs)
    options = [{"customer_seed": trial} if vary else None for trial in range(times)]
    return np.array([[success(env, policy, seed, option)["success"] for option in options] for seed in seeds])


class Pair(NamedTuple):
    """The same customers but for one thing.

    Attributes:
        before: success of the scenarios as they are.
        after: success with the change.
        difference: the mean difference, after minus before.
        flipped: the share of scenarios that came out otherwise.
    """

    before: Estimate
    after: Estimate
    difference: Estimate
    flipped: float


def paired(
    policy: Policy,
    *,
    change: str,
    values: Sequence[str],
    seeds: Sequence[int],
    env: CustomerServiceEnv | None = None,
    **kwargs: Any,
) -> Pair:
    """Success for the same customers with another name, dialect or tier, where none of these may matter.

    Args:
        policy: from the conversation to the reply.
        change: ``"name"``, ``"dialect"`` or ``"tier"``.
        values: what it is changed to, one after another: full names, dialects of ``wording/manner.json``, or tiers.
        seeds: of the scenarios.
        env: the environment to play in, instead of a new one.
        kwargs: a new environment's arguments.

    Raises:
        ValueError: for an unknown change or value, or without values or seeds.
    """
    if not values or not seeds:
        raise ValueError("paired needs a value and a seed at least")
    env = env or CustomerServiceEnv(**kwargs)
    before, after = [], []
    for index, seed in enumerate(seeds):
        before.append(success(env, policy, seed)["success"])
        after.append(success(env, policy, seed, {change: values[index % len(values)]})["success"])
    differences = np.subtract(after, before)
    flipped = float(np.mean(differences != 0))
    return Pair(estimate(before, proportion=True), estimate(after, proportion=True), estimate(differences.tolist()), flipped)


def attack_success(policy: Policy, *, seeds: Sequence[int], **kwargs: Any) -> dict[str, Estimate]:
    """The share of attacks that succeed, by kind; kinds that didn't come up are left out.

    Args:
        policy: from the conversation to the reply.
        seeds: of the scenarios; all customers are adversaries.
        kwargs: the environment's arguments but ``adversarial``.
    """
    env = CustomerServiceEnv(adversarial=1.0, **kwargs)
    by_kind: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for seed in seeds:
        metrics = success(env, policy, seed)
        assert env.scenario.attack is not None
        by_kind[env.scenario.attack.kind].append(metrics["attack_success"])
    return {kind: estimate(values, proportion=True) for kind, values in by_kind.items() if values}
