"""Stock PPO on the engine beside what people write without it: a plain per-transition policy, `generate`, a sequence-level loop.

All sides have the same model, weights, prompts, lengths and number of optimizer steps. The environment is a stand-in that costs next to
nothing, so that lengths can be set: prompts of random tokens, replies of the length that is drawn for them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import DictRolloutBuffer
from stable_baselines3.common.callbacks import CallbackList
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.utils import get_device
from stable_baselines3.common.vec_env import VecEnv
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, StoppingCriteria, StoppingCriteriaList

from agents.buffer import EpisodeRolloutBuffer
from agents.models import ModelSpec, backbone, bf16_is_fast, causal_lm, head
from agents.policy import CausalLMPolicy
from benchmarks.experiments.speed.figures import Figure, figure, interleaved, ratios
from lm_envs.spaces import TokenSpace

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Setting:
    """What both sides of a ratio have in common.

    Attributes:
        model: ``"3.6M"``, or a name that :func:`agents.models.load` takes.
        rows: environments; replies in a batch.
        prompt: tokens of a prompt.
        reply: tokens of a reply.
        ragged: least and most tokens of a reply where lengths are drawn.
        epochs: passes over a rollout.
        minibatches: optimizer steps in a pass.
        rounds: how often each side is measured.
        autocast: bfloat16 autocast, on both sides.
    """

    model: str = "3.6M"
    rows: int = 16
    prompt: int = 32
    reply: int = 96
    ragged: tuple[int, int] = (24, 96)
    epochs: int = 2
    minibatches: int = 4
    rounds: int = 5
    autocast: bool = False

    def spec(self) -> ModelSpec:
        """The model's description."""
        if self.model != "3.6M":
            return ModelSpec.of(self.model)
        torch.manual_seed(0)
        return ModelSpec.of(LlamaForCausalLM(small_llama()))


def small_llama(**changes: Any) -> LlamaConfig:
    """A Llama of 3.6 million parameters."""
    sizes: dict[str, Any] = {
        "vocab_size": 2048,
        "hidden_size": 256,
        "intermediate_size": 680,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
    }
    return LlamaConfig(**{**sizes, **changes})


class StandIn(VecEnv):
    """Random prompts and replies of given lengths; even tokens earn.

    Args:
        rows: environments.
        vocabulary: tokens are below it.
        prompt: tokens of a prompt.
        lengths: draws the number of tokens of a reply.
        size: of observations, in tokens.
    """

    def __init__(self, rows: int, vocabulary: int, prompt: int, lengths: Callable[[], int], size: int) -> None:
        space = spaces.Dict(
            {"input_ids": spaces.Box(0, vocabulary - 1, (size,), np.int64), "attention_mask": spaces.Box(0, 1, (size,), np.int8)}
        )
        super().__init__(rows, space, TokenSpace(vocabulary, ()))
        self._rng = np.random.default_rng(0)
        self._vocabulary, self._prompt, self._draw = vocabulary, prompt, lengths
        self._ids, self._mask = np.zeros((rows, size), dtype=np.int64), np.zeros((rows, size), dtype=np.int8)
        self._used, self._end = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
        self._row = np.arange(rows)

    def reset(self) -> dict[str, npt.NDArray[Any]]:  # type: ignore[override]
        """Open all episodes."""
        for row in range(self.num_envs):
            self._open(row)
        return self._observe()

    def step_async(self, actions: npt.NDArray[Any]) -> None:
        """Take the tokens."""
        self._actions = actions

    def step_wait(self) -> Any:
        """Append them."""
        self._ids[self._row, self._used] = self._actions
        self._mask[self._row, self._used] = 1
        self._used += 1
        done = self._used == self._end
        reward = np.where(done, self._actions % 2 == 0, 0.0).astype(np.float32)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for row in np.flatnonzero(done).tolist():
            infos[row]["terminal_observation"] = {"input_ids": self._ids[row].copy(), "attention_mask": self._mask[row].copy()}
            self._open(row)
        return self._observe(), reward, done, infos

    def _open(self, row: int) -> None:
        self._ids[row, : self._prompt] = self._rng.integers(0, self._vocabulary, self._prompt)
        self._mask[row], self._mask[row, : self._prompt] = 0, 1
        self._used[row], self._end[row] = self._prompt, self._prompt + self._draw()

    def _observe(self) -> dict[str, npt.NDArray[Any]]:
        return {"input_ids": self._ids.copy(), "attention_mask": self._mask.copy()}

    def close(self) -> None:
        """Nothing is open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """What Stable-Baselines3 asks for: there is nothing to render."""
        return [None] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Nothing can be set."""

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """There are no methods."""
        return []

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Nothing is wrapped."""
        return [False] * self.num_envs


class PlainPolicy(CausalLMPolicy):
    """The policy without its engine: a pass over each observation's whole prefix, padding trimmed, each state from a row of its own."""

    def states(self, obs: Any, decode: bool = False) -> torch.Tensor:
        """See :meth:`CausalLMPolicy.states`."""
        lengths = obs["attention_mask"].sum(dim=1)
        with self._precision():
            hidden = self._read(obs["input_ids"][:, : int(lengths.max())])
        return hidden[torch.arange(len(lengths), device=hidden.device), lengths - 1]


def ppo(
    setting: Setting,
    spec: ModelSpec,
    device: str,
    *,
    plain: bool = False,
    ragged: bool = False,
    steps: int | None = None,
    size: int | None = None,
) -> PPO:
    """Stock PPO on the stand-in; ``plain`` with Stable-Baselines3's own buffer and no engine."""
    size = size or setting.prompt + (setting.ragged[1] if ragged else setting.reply)
    rng = np.random.default_rng(1)
    lengths = (lambda: int(rng.integers(setting.ragged[0], setting.ragged[1] + 1))) if ragged else (lambda: setting.reply)
    env = StandIn(setting.rows, int(spec.config["vocab_size"]), setting.prompt, lengths, size)
    steps = steps or setting.reply
    return PPO(
        PlainPolicy if plain else CausalLMPolicy,
        env,
        learning_rate=1e-5,
        n_steps=steps,
        batch_size=steps * setting.rows // setting.minibatches,
        n_epochs=setting.epochs,
        gamma=1.0,
        gae_lambda=1.0,
        normalize_advantage=plain,  # the other buffer does it
        rollout_buffer_class=DictRolloutBuffer if plain else EpisodeRolloutBuffer,
        policy_kwargs={"model": spec, "autocast": setting.autocast},
        seed=0,
        device=device,
    )


def ready(algorithm: OnPolicyAlgorithm) -> CallbackList:
    """Prepare an algorithm for :func:`rollout`."""
    _, callback = algorithm._setup_learn(10**9)
    return callback  # type: ignore[return-value]


def rollout(algorithm: OnPolicyAlgorithm, callback: CallbackList) -> None:
    """Fill the algorithm's buffer."""
    assert algorithm.env is not None
    algorithm.collect_rollouts(algorithm.env, callback, algorithm.rollout_buffer, n_rollout_steps=algorithm.n_steps)


class _AtLengths(StoppingCriteria):
    """Ends each row at its own length."""

    def __init__(self, lengths: torch.Tensor) -> None:
        self._lengths = lengths

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:  # type: ignore[override]
        return input_ids.shape[1] >= self._lengths


class Generation:
    """`model.generate`, as its users write it: sampling from the whole distribution, with its default cache.

    Where the other side runs under bfloat16 autocast, it has a copy of the model in bfloat16, which is faster than autocast.
    """

    def __init__(self, setting: Setting, spec: ModelSpec, model: torch.nn.Module) -> None:
        self._setting, self._model = setting, copy.deepcopy(model).to(torch.bfloat16) if setting.autocast else model
        self._rng = np.random.default_rng(0)
        self._vocabulary = int(spec.config["vocab_size"])
        self._device = next(model.parameters()).device

    @torch.no_grad()
    def __call__(self, lengths: Ids | None = None) -> torch.Tensor:
        """A batch of replies, ``(rows, prompt + longest)``; of ``lengths`` tokens each, or all of the same."""
        s = self._setting
        prompts = torch.from_numpy(self._rng.integers(0, self._vocabulary, (s.rows, s.prompt))).to(self._device)
        ends = None if lengths is None else torch.from_numpy(s.prompt + lengths).to(self._device)
        longest = s.reply if lengths is None else int(lengths.max())
        return causal_lm(self._model).generate(  # type: ignore[operator]
            prompts,
            attention_mask=torch.ones_like(prompts),
            do_sample=True,
            top_k=0,
            eos_token_id=None,
            pad_token_id=0,
            max_new_tokens=longest,
            stopping_criteria=None if ends is None else StoppingCriteriaList([_AtLengths(ends)]),
        )


class SequenceLoop:
    """PPO as one writes it for whole replies of one length: a row a reply, the vocabulary projection at reply positions alone."""

    def __init__(self, setting: Setting, policy: CausalLMPolicy) -> None:
        self._setting, self._policy = setting, policy
        self._optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-5, weight_decay=0.0, fused=True)

    def update(self, ids: torch.Tensor, old_log_prob: torch.Tensor, advantages: torch.Tensor, returns: torch.Tensor) -> None:
        """All passes over a rollout.

        Args:
            ids: prompts and replies, ``(rows, prompt + reply)``.
            old_log_prob: of the replies' tokens, ``(rows, reply)``.
            advantages: ``(rows, reply)``.
            returns: ``(rows, reply)``.
        """
        s, policy = self._setting, self._policy
        lm = causal_lm(policy.model)
        for _ in range(s.epochs):
            for rows in torch.randperm(len(ids)).chunk(s.minibatches):
                rows = rows.to(ids.device)
                text = ids[rows]
                with torch.autocast(ids.device.type, torch.bfloat16, enabled=s.autocast):
                    hidden = backbone(policy.model)(input_ids=text, use_cache=False).last_hidden_state[:, s.prompt - 1 : -1]
                    logits = head(lm, hidden)
                log_prob = -functional.cross_entropy(logits.float().flatten(0, 1), text[:, s.prompt :].flatten(), reduction="none")
                ratio = torch.exp(log_prob - old_log_prob[rows].flatten())
                advantage = advantages[rows].flatten()
                policy_loss = -torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean()
                value_loss = functional.mse_loss(policy.value_head(hidden.float()).flatten(), returns[rows].flatten())
                self._optimizer.zero_grad()
                (policy_loss + 0.5 * value_loss).backward()
                torch.nn.utils.clip_grad_norm_(policy.parameters(), 0.5)
                self._optimizer.step()


def sequences(algorithm: OnPolicyAlgorithm, setting: Setting) -> tuple[torch.Tensor, ...]:
    """The rollout in the buffer as :meth:`SequenceLoop.update` takes it."""
    buffer: Any = algorithm.rollout_buffer
    batch = next(iter(buffer.batches()))
    ids = np.zeros((setting.rows, setting.prompt + setting.reply), dtype=np.int64)
    for number, row in enumerate(batch.observations.rows):
        env = batch.envs[np.flatnonzero(batch.observations.row == number)[0]]
        ids[env, :-1], ids[env, -1] = row, buffer.actions[-1, env]
    arrays = (ids, buffer.log_probs.T, buffer.advantages.T, buffer.returns.T)
    return tuple(torch.from_numpy(np.ascontiguousarray(array)).to(algorithm.device) for array in arrays)


def measure_rollout(setting: Setting, spec: ModelSpec, device: str) -> list[Figure]:
    """Rollouts beside `generate`, with replies of one length and of lengths that are drawn."""
    figures = []
    for ragged in (False, True):
        # Rows end at different times: long enough a rollout that the start, when all prompts are read, counts as little as it should.
        steps = 4 * setting.ragged[1] if ragged else setting.reply
        algorithm = ppo(setting, spec, device, ragged=ragged, steps=steps)
        generate = Generation(setting, spec, algorithm.policy.model)  # type: ignore[arg-type]
        callback = ready(algorithm)
        lengths = np.random.default_rng(2).integers(setting.ragged[0], setting.ragged[1] + 1, (4, setting.rows))
        batches: list[Ids | None] = list(lengths) if ragged else [None]
        useful = int(lengths.sum()) if ragged else setting.rows * setting.reply
        seconds = interleaved(
            {
                "engine": lambda: rollout(algorithm, callback),  # noqa: B023
                "generate": lambda: [generate(batch) for batch in batches],  # noqa: B023
            },
            setting.rounds,
        )
        speed = {"engine": setting.rows * steps, "generate": useful}
        rates = {side: [speed[side] / s for s in seconds[side]] for side in seconds}
        name = f"lengths uniform in {setting.ragged[0]}…{setting.ragged[1]}" if ragged else f"{setting.reply} tokens each"
        figures.append(
            figure(
                f"rollout / generate, {name}, {setting.model}",
                ratios(rates["engine"], rates["generate"]),
                at_least=1.4 if ragged else 1.0,
                setting=asdict(setting),
                engine=policy_engine(algorithm),
                tokens_per_second=rates,
            )
        )
    return figures


def measure_update(setting: Setting, spec: ModelSpec, device: str) -> Figure:
    """PPO's update beside a sequence-level loop, on the same rollout with as many minibatches."""
    algorithm = ppo(setting, spec, device)
    loop = SequenceLoop(setting, copy.deepcopy(algorithm.policy))  # type: ignore[arg-type]
    rollout(algorithm, ready(algorithm))
    data = sequences(algorithm, setting)
    seconds = interleaved({"engine": algorithm.train, "loop": lambda: loop.update(*data)}, setting.rounds)
    return figure(
        f"update / hand-written sequence-level loop, {setting.model}",
        ratios(seconds["loop"], seconds["engine"]),
        at_least=0.97,
        setting=asdict(setting),
        seconds=seconds,
    )


def measure_end_to_end(setting: Setting, spec: ModelSpec, device: str) -> Figure:
    """An iteration of stock PPO beside one with a plain policy."""
    tokens = setting.rows * setting.reply
    sides = {"engine": ppo(setting, spec, device), "plain": ppo(setting, spec, device, plain=True)}
    seconds = interleaved(
        {name: lambda side=side: side.learn(tokens, reset_num_timesteps=False) for name, side in sides.items()},  # type: ignore[misc]
        max(1, setting.rounds // 2),
        warm_up=0,
    )
    return figure(
        f"PPO end to end / plain per-transition policy, {setting.model}",
        ratios(seconds["plain"], seconds["engine"]),
        at_least=40,
        setting=asdict(setting),
        tokens_per_second={name: [tokens / s for s in times] for name, times in seconds.items()},
    )


def policy_engine(algorithm: OnPolicyAlgorithm) -> str:
    """How the policy reads texts."""
    assert isinstance(algorithm.policy, CausalLMPolicy)
    return algorithm.policy.engine


def measure(quick: bool = False, device: str = "auto", model: str = "3.6M") -> list[Figure]:
    """All figures of this file; end to end only for the small model, since the plain policy takes an hour with a larger one.

    A larger model runs in bfloat16 autocast on both sides, if the device has it in hardware.
    """
    if quick:
        setting = Setting(rows=2, prompt=4, reply=6, ragged=(2, 6), epochs=1, minibatches=2, rounds=1)
    elif model == "3.6M":
        setting = Setting()
    else:
        half = bf16_is_fast(get_device(device))
        setting = Setting(model=model, reply=32, ragged=(8, 32), epochs=1, rounds=5, autocast=half)
    spec = setting.spec()
    figures = [*measure_rollout(setting, spec, device), measure_update(setting, spec, device)]
    if setting.model == "3.6M":
        figures.append(measure_end_to_end(setting, spec, device))
    return figures
