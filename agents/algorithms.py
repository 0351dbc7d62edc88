"""`make("ppo", env, model="tiny")`: a Stable-Baselines3 algorithm with defaults that suit language models, and a TRPO that is fast on them.

The algorithms are Stable-Baselines3's own; what differs is what they are given.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import sb3_contrib
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecMonitor, is_vecenv_wrapped
from torch import nn

import lm_envs
from agents.buffer import EpisodeRolloutBuffer
from agents.fisher import Fisher, graph_bytes
from agents.models import Dtype, ModelSpec
from agents.policy import CausalLMPolicy, Observations
from agents.vec_env import SB3VecEnv
from lm_envs.core import known_arguments, one_of
from lm_envs.tokens import load_tokenizer


class TRPO(sb3_contrib.TRPO):
    """``sb3_contrib.TRPO`` whose curvature comes from the Fisher matrix, for a :class:`~agents.policy.CausalLMPolicy`.

    The step is the same. The original differentiates the KL divergence twice, with two calls a tensor that each go through the whole
    network; it takes every parameter with "value" in its name for the critic's, such as GPT-NeoX's ``query_key_value``; and it refuses
    frozen parameters, hence LoRA. Here the actor's parameters are those of the language model that are trained, and all gradients are
    taken in one call. With another policy it is the original.

    Memory beyond the weights: some ten arrays of the size of the trained parameters, of which conjugate gradients and the line search
    hold most; the logits of the rollout ``(transitions, tokens)`` twice, for the old policy and the one being tried; the curvature's graph
    (:attr:`curvature_bytes`); and the graph of the surrogate objective, which the original's ``train`` takes of the whole rollout at once:
    where that is too large, make the policy with ``checkpointing=True``.

    Attributes:
        curvature_bytes: how large the curvature's graph may be, roughly. A rollout that needs no more is read once and its graph kept for
            all conjugate-gradient steps; a larger one is read in parts, anew for each step, which takes about twice the time.
    """

    curvature_bytes: int = 4 * 2**30
    _fisher: Fisher | None = None

    def _compute_actor_grad(
        self, kl_div: torch.Tensor, policy_objective: torch.Tensor
    ) -> tuple[list[nn.Parameter], torch.Tensor, torch.Tensor, list[tuple[int, ...]]]:
        """The actor's parameters, the flat gradients of objective and KL divergence, and the parameters' shapes."""
        if not isinstance(self.policy, CausalLMPolicy):
            return super()._compute_actor_grad(kl_div, policy_objective)
        trained = self.policy.actor_parameters()
        gradients = torch.autograd.grad(policy_objective, trained, allow_unused=True)
        pairs = [(parameter, gradient) for parameter, gradient in zip(trained, gradients, strict=True) if gradient is not None]
        actor = [parameter for parameter, _ in pairs]
        self._fisher = Fisher(self.policy, self._observations(self.policy), actor)
        flat = torch.cat([gradient.reshape(-1) for _, gradient in pairs])
        # At the old policy the gradient of the divergence from it is 0; only its derivative counts, and that is the Fisher matrix.
        return actor, flat, flat.new_zeros(1).expand_as(flat), [tuple(parameter.shape) for parameter in actor]

    def hessian_vector_product(
        self, params: list[nn.Parameter], grad_kl: torch.Tensor, vector: torch.Tensor, retain_graph: bool = True
    ) -> torch.Tensor:
        """The damped product of the Fisher matrix and a vector."""
        if self._fisher is None:
            return super().hessian_vector_product(params, grad_kl, vector, retain_graph)
        product = (self._fisher @ vector).add_(vector, alpha=self.cg_damping)
        if not retain_graph:
            self._fisher = None
        return product

    def _observations(self, policy: CausalLMPolicy) -> list[Observations]:
        """Those of the rollout, in as many parts as :attr:`curvature_bytes` demands."""
        buffer = self.rollout_buffer
        transitions = buffer.buffer_size * buffer.n_envs
        if isinstance(buffer, EpisodeRolloutBuffer):
            (whole,) = buffer.batches()
            tokens = sum(map(len, whole.observations.rows))
            parts = -(-tokens * graph_bytes(policy) // self.curvature_bytes)
            return [batch.observations for batch in buffer.batches(-(-transitions // parts))]
        # Stable-Baselines3's own buffer has been flattened by now, one environment after the other.
        arrays = {key: buffer.to_torch(buffer.observations[key]) for key in ("input_ids", "attention_mask")}  # type: ignore[call-overload]
        parts = -(-int(arrays["attention_mask"].sum()) * graph_bytes(policy) // self.curvature_bytes)
        return [{key: array[part] for key, array in arrays.items()} for part in torch.arange(transitions).chunk(min(parts, transitions))]


ALGORITHMS: dict[str, type[OnPolicyAlgorithm]] = {"a2c": A2C, "ppo": PPO, "trpo": TRPO}

# Why these: a reward at the end of a reply must reach its first token, so neither gamma nor lambda may discount by the token. Advantages
# are normalised by the buffer, over the rollout. One pass or two over a rollout, since each costs as much as sampling it.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "a2c": {"learning_rate": 1e-4, "use_rms_prop": False, "vf_coef": 0.1, "max_grad_norm": 1.0},
    "ppo": {"learning_rate": 1e-4, "n_epochs": 2, "target_kl": 0.1, "vf_coef": 0.1, "max_grad_norm": 1.0},
    "trpo": {"learning_rate": 1e-3, "target_kl": 0.01, "cg_max_steps": 10, "n_critic_updates": 5},
}
_COMMON: dict[str, Any] = {"gamma": 1.0, "gae_lambda": 1.0, "normalize_advantage": False}
_LORA_FACTOR = 10  # adapters start from nothing and bear, and need, larger steps than the weights they stand on
_REPLIES, _MINIBATCHES = 4, 4


def make(
    name: str,
    env: str | VectorEnv[Any, Any, Any] | VecEnv,
    *,
    model: str | Path | ModelSpec = "tiny",
    n_envs: int = 16,
    env_kwargs: Mapping[str, Any] | None = None,
    seed: int | None = None,
    lora: Mapping[str, Any] | bool | None = None,
    dtype: Dtype = "float32",
    **overrides: Any,
) -> OnPolicyAlgorithm:
    """An algorithm ready to ``learn``.

    Defaults: no discount and λ = 1, rollouts of four times the longest reply in each environment, AdamW without weight decay at 1e-4
    (1e-3 with LoRA) and 1e-3 for the value head, advantages normalised over the rollout; PPO makes 2 passes of 4 minibatches and stops
    at a KL divergence of 0.15, TRPO takes steps of 0.01.

    Args:
        name: ``"a2c"``, ``"ppo"`` or ``"trpo"``.
        env: the id of a token environment, a Gymnasium vector environment in SAME_STEP mode, or a Stable-Baselines3 one.
        model: ``"tiny"``, ``"smollm2-135m"``, a folder, a hub's name, or a ``ModelSpec``.
        n_envs: environments side by side, for an id.
        env_kwargs: keyword arguments for an id; the tokenizer is the model's if they name none.
        seed: of environments, sampling and minibatches.
        lora: keyword arguments of ``peft.LoraConfig`` (``True`` or ``{}`` for its defaults), to train adapters only.
        dtype: the type of the weights, ``"float32"`` or ``"bfloat16"``.
        overrides: any argument of the algorithm, or of :class:`~agents.policy.CausalLMPolicy`. ``normalize_advantage`` is the buffer's.

    Raises:
        ValueError: for an unknown algorithm, an environment that isn't token-level, or another model's tokenizer.
        TypeError: for an unknown override; the message lists the known ones.
    """
    algorithm = ALGORITHMS[one_of("name", name, tuple(ALGORITHMS))]
    arguments, policy_kwargs = _sort_overrides(algorithm, overrides)
    lora = {} if lora is True else None if lora is False else lora
    if not isinstance(model, ModelSpec):
        spec = ModelSpec.of(model, dtype=dtype, lora=lora, attention=policy_kwargs.pop("attention", "auto"))
    elif lora is not None or dtype != "float32":
        raise ValueError("lora and dtype are part of the ModelSpec; set them there")
    else:
        spec = model
    policy_kwargs["model"] = spec
    venv = monitored(as_vec_env(env, n_envs, model, env_kwargs))
    _check_tokens(venv, model)

    settings = {**_COMMON, **_DEFAULTS[name]}
    if spec.lora is not None and name != "trpo":
        settings["learning_rate"] *= _LORA_FACTOR
    if "n_steps" not in arguments:
        settings["n_steps"] = _REPLIES * (venv.get_attr("max_reply_tokens")[0] if venv.has_attr("max_reply_tokens") else 32)
    if "batch_size" in inspect.signature(algorithm).parameters:
        rollout = {**settings, **arguments}["n_steps"] * venv.num_envs
        settings["batch_size"] = -(-rollout // _MINIBATCHES) if name == "ppo" else rollout
    if name == "trpo":
        policy_kwargs.setdefault("detach_value", True)  # its critic's steps leave the language model alone anyway
    if arguments.get("rollout_buffer_class", EpisodeRolloutBuffer) is EpisodeRolloutBuffer:
        buffer_kwargs = dict(arguments.pop("rollout_buffer_kwargs", None) or {})
        buffer_kwargs.setdefault("normalize_advantage", arguments.pop("normalize_advantage", True))
        settings |= {"rollout_buffer_class": EpisodeRolloutBuffer, "rollout_buffer_kwargs": buffer_kwargs}
    return algorithm(CausalLMPolicy, venv, seed=seed, policy_kwargs=policy_kwargs, **{**settings, **arguments})


def _sort_overrides(algorithm: type[OnPolicyAlgorithm], overrides: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments for the algorithm and for the policy; those both have, like ``use_sde``, are the algorithm's."""
    own = set(inspect.signature(algorithm).parameters) - {"policy", "env", "seed", "policy_kwargs", "_init_setup_model"}
    policy = set(known_arguments(CausalLMPolicy)) & set(inspect.signature(CausalLMPolicy).parameters)
    policy -= own | {"model", "lora", "dtype", "observation_space", "action_space", "lr_schedule"}
    if unknown := set(overrides) - own - policy - {"policy_kwargs"}:
        raise TypeError(
            f"make has no argument {', '.join(sorted(map(repr, unknown)))}; "
            f"{algorithm.__name__} takes {', '.join(sorted(own))}; the policy takes {', '.join(sorted(policy))}"
        )
    arguments = {key: value for key, value in overrides.items() if key in own}
    return arguments, {**overrides.get("policy_kwargs", {}), **{key: value for key, value in overrides.items() if key in policy}}


def as_vec_env(env: Any, n_envs: int = 16, model: str | Path | ModelSpec = "tiny", env_kwargs: Mapping[str, Any] | None = None) -> VecEnv:
    """A Stable-Baselines3 environment from what :func:`make` takes; see there."""
    if isinstance(env, str):
        return SB3VecEnv(make_token_env(env, n_envs, model, env_kwargs or {}))
    if env_kwargs:
        raise ValueError("env_kwargs are for an environment's id; this environment is made already")
    if isinstance(env, VecEnv):
        return env
    if isinstance(env, VectorEnv):
        return SB3VecEnv(env)
    raise TypeError(f"env is an id, a Gymnasium vector environment or a Stable-Baselines3 one; got {type(env).__name__}")


def make_token_env(env_id: str, num_envs: int, model: str | Path | ModelSpec, env_kwargs: Mapping[str, Any]) -> VectorEnv[Any, Any, Any]:
    """``gymnasium.make_vec`` in SAME_STEP mode, with the model's tokenizer where ``env_kwargs`` name none.

    Raises:
        ValueError: for the id of a text environment.
    """
    spec = gym.spec(env_id)
    tokens_id = spec.id.replace("-v", "Tokens-v")
    if tokens_id in gym.registry:
        raise ValueError(f"{env_id} speaks text; agents that write tokens need {tokens_id}")
    kwargs = dict(env_kwargs)
    if spec.vector_entry_point is None:
        kwargs["vector_kwargs"] = {"autoreset_mode": AutoresetMode.SAME_STEP}
    source = model.source if isinstance(model, ModelSpec) else str(model)
    if source not in (None, "tiny"):  # the bundled model's tokenizer is the default of every token environment
        kwargs.setdefault("tokenizer", source)
    return gym.make_vec(env_id, num_envs=num_envs, **kwargs)


def monitored(env: VecEnv) -> VecEnv:
    """An environment whose infos hold returns and lengths of the episodes that end."""
    if is_vecenv_wrapped(env, VecMonitor) or env.env_is_wrapped(Monitor)[0]:
        return env
    return VecMonitor(env)


def _check_tokens(env: VecEnv, model: str | Path | ModelSpec) -> None:
    space = env.observation_space
    if not isinstance(space, spaces.Dict) or "input_ids" not in space.spaces:
        raise ValueError(
            f"agents need a token environment, with observations Dict(input_ids, attention_mask); this one gives {space}. "
            f"For a text environment: lm_envs.tokenize(env, tokenizer), or its id with 'Tokens'"
        )
    source = model.source if isinstance(model, ModelSpec) else model
    if source is None or not env.has_attr("tokenizer"):
        return
    try:
        ours = load_tokenizer(source).get_vocab()
    except ValueError:
        return  # a model without a tokenizer; that it has a logit for each token is checked by the policy
    theirs = env.get_attr("tokenizer")[0].get_vocab()
    if theirs != ours:
        differ = len(set(theirs.items()) ^ set(ours.items()))
        raise ValueError(
            f"the environment's tokenizer is not the one of {source} ({differ:,} entries differ): "
            f"make the environment with tokenizer={str(source)!r}"
        )


assert lm_envs  # importing it registers the ids that make takes
