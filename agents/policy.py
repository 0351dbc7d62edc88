"""`CausalLMPolicy`: a causal language model as a Stable-Baselines3 actor-critic policy.

    PPO(CausalLMPolicy, env, policy_kwargs={"model": "tiny"})

The actor is the model's own next-token distribution; the critic is a linear layer on its last hidden state.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import CategoricalDistribution
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.type_aliases import Schedule
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from agents import decoding, packing, vocabulary
from agents.attention import Masked, View, viewed
from agents.models import (
    Attention,
    Dtype,
    ModelSpec,
    adapter_state,
    backbone,
    bf16_is_fast,
    causal_lm,
    check_head,
    check_logits,
    checkpoint_activations,
    compile_layers,
    context_limit,
    head,
    sliding_window,
    stable_context,
)
from agents.packing import Packed
from agents.vocabulary import Shaping

Observations = Mapping[str, torch.Tensor] | Packed


class CausalLMPolicy(ActorCriticPolicy):
    """A causal LM as actor, with a value head.

    Observations are ``Dict(input_ids, attention_mask)``, padded on the right, or :class:`~agents.packing.Packed`. Actions are token
    ids; where the action space names forbidden ids, these have probability 0 in sampling and scoring alike.

    Args:
        observation_space: of a token environment.
        action_space: ``Discrete(number of tokens)``; its ``forbidden`` ids are masked.
        lr_schedule: the learning rate of the actor as SB3 schedules it.
        model: a name, a folder, a hub's name, or a :class:`~agents.models.ModelSpec`.
        temperature: logits are divided by it; it shapes the scored distribution too.
        value_lr: the value head's learning rate where ``lr_schedule`` is at its peak; both follow the schedule. ``None``: the actor's.
        detach_value: whether the critic's loss leaves the language model alone.
        autocast: bfloat16 autocast around float32 weights; ``"auto"``: where the device has it in hardware.
        checkpointing: whether training keeps the layers' inputs alone and computes what is inside them again in backward: less memory,
            about a third more time.
        torch_compile: whether to compile the model's layers; a mapping gives ``torch.compile`` options. It takes a minute or so, in the
            first rollout and the first update.
        engine: ``"slots"`` keeps keys and values between the steps of a rollout and reads shared beginnings once; ``"plain"`` doesn't.
        lora: keyword arguments of ``peft.LoraConfig``, to train adapters only. For a ``model`` that is not a spec, as are the next two.
        dtype: the type of the weights.
        attention: ``"auto"``, ``"sdpa"`` or ``"eager"``.
        optimizer_class: AdamW by default.
        optimizer_kwargs: by default no weight decay, and PyTorch's fused implementation.
        use_sde: must be false.

    Raises:
        FileNotFoundError: when there is no such model; raised by the first use, not by the constructor.
        ValueError: when the model has fewer logits than the action space has tokens, or a shorter context than the observations, or
            when it doesn't support ``checkpointing``.
    """

    value_head: nn.Linear

    def __init__(
        self,
        observation_space: spaces.Dict,
        action_space: spaces.Discrete,
        lr_schedule: Schedule,
        *,
        model: str | Path | ModelSpec,
        temperature: float = 1.0,
        value_lr: float | None = 1e-3,
        detach_value: bool = False,
        autocast: bool | Literal["auto"] = False,
        checkpointing: bool = False,
        torch_compile: bool | Mapping[str, Any] = False,
        engine: Literal["slots", "plain"] = "slots",
        lora: Mapping[str, Any] | None = None,
        dtype: Dtype = "float32",
        attention: Attention = "auto",
        optimizer_class: type[torch.optim.Optimizer] = torch.optim.AdamW,
        optimizer_kwargs: dict[str, Any] | None = None,
        use_sde: bool = False,
    ) -> None:
        if optimizer_kwargs is None:
            optimizer_kwargs = {"weight_decay": 0.0, "fused": True} if optimizer_class is torch.optim.AdamW else {}
        # SB3's ActorCriticPolicy builds networks of its own in its constructor; of it we take the interface alone.
        BasePolicy.__init__(self, observation_space, action_space, optimizer_class=optimizer_class, optimizer_kwargs=optimizer_kwargs)
        if use_sde:
            raise ValueError("use_sde is for continuous actions")
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, got {temperature}; for the most likely token use deterministic=True")
        if engine not in ("slots", "plain"):
            raise ValueError(f"engine must be 'slots' or 'plain', got {engine!r}")
        _check_spaces(observation_space, action_space)
        if isinstance(model, ModelSpec) and (lora, dtype, attention) != (None, "float32", "auto"):
            raise ValueError("lora, dtype and attention are part of the ModelSpec; set them there")
        self.temperature = temperature
        self.value_lr = value_lr
        self.detach_value = detach_value
        self.autocast = autocast
        self.checkpointing = checkpointing
        self.torch_compile = torch_compile
        self.use_sde = False
        self.num_tokens = int(action_space.n)
        forbidden = np.zeros(self.num_tokens, dtype=np.bool_)
        forbidden[getattr(action_space, "forbidden", [])] = True
        self._forbids = bool(forbidden.any())
        self.register_buffer("forbidden", torch.from_numpy(forbidden), persistent=False)
        self._engine = engine
        self._decoders: dict[int, decoding.Decoder] = {}  # by batch size: training's, and that of an evaluation in between
        self._fast: decoding.FastWeights | None = None
        self._weights: Any = None
        self._probed = False
        self._lr_schedule = lr_schedule
        self._missing: FileNotFoundError | None = None
        try:
            spec = model if isinstance(model, ModelSpec) else ModelSpec.of(model, dtype=dtype, attention=attention, lora=lora)
        except FileNotFoundError as error:
            # SB3 loads a policy by constructing it with the arguments of the first day and then handing it the saved state, which
            # holds the spec. So a folder that is gone is an error only if the policy is used as it is now.
            self._missing = error
        else:
            self._build_model(spec)

    def _build_model(self, spec: ModelSpec) -> None:
        """Make the model, the value head and the optimizer."""
        self.spec = spec
        self.model = spec.build()
        lm = causal_lm(self.model)
        check_logits(lm, self.num_tokens)
        check_head(lm)
        if self.checkpointing:
            checkpoint_activations(lm)
        if self.torch_compile is not False:
            compile_layers(lm, {} if self.torch_compile is True else self.torch_compile)
        self.model.train(self.training)
        length = self.observation_space["input_ids"].shape[0]  # type: ignore[index]
        self._parameters_of_model = list(self.model.parameters())
        context = context_limit(lm.config.get_text_config())
        if context is not None and length > context:
            raise ValueError(f"observations have up to {length:,} tokens and the model's context {context:,}: make max_length smaller")
        stable = stable_context(lm.config.get_text_config())
        self._lengths_matter = stable is not None and length > stable
        self.value_head = nn.Linear(lm.get_output_embeddings().weight.shape[1], 1)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)
        self._build_optimizer()

    def _build_optimizer(self) -> None:
        # SB3 sets one rate for all groups before each update; each group's scale is applied around the optimizer's step.
        peak = max(float(self._lr_schedule(progress)) for progress in np.linspace(0, 1, 101))
        scale = self.value_lr / peak if self.value_lr is not None and peak > 0 else 1.0
        groups = [{"params": self.actor_parameters(), "lr_scale": 1.0}, {"params": self.critic_parameters(), "lr_scale": scale}]
        self.optimizer = self.optimizer_class(groups, lr=float(self._lr_schedule(1)), **self.optimizer_kwargs)  # type: ignore[call-arg]
        self._hook_optimizer()

    def _hook_optimizer(self) -> None:
        self.optimizer.register_step_pre_hook(_scale_rates)
        self.optimizer.register_step_post_hook(_restore_rates)
        self.optimizer.register_step_post_hook(lambda *_: self.forget())

    # What algorithms call.

    def forward(  # type: ignore[override]
        self, obs: Observations, deterministic: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Sample tokens.

        Returns:
            Actions ``(n,)``, values ``(n, 1)``, and the actions' log-probabilities ``(n,)``.
        """
        states = self.states(obs, decode=True)
        log_p = torch.log_softmax(self.logits(states), dim=-1)
        actions = _choose(log_p, deterministic)
        return actions, self.values(states), log_p.gather(1, actions[:, None])[:, 0]

    def evaluate_actions(  # type: ignore[override]
        self, obs: Observations, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Values ``(n, 1)``, log-probabilities of the actions ``(n,)``, and entropies ``(n,)``."""
        states = self.states(obs)
        log_prob, entropy = vocabulary.log_prob_and_entropy(
            states, actions.long().flatten(), self.raw_logits, self.shaping, self.num_tokens
        )
        return self.values(states), log_prob, entropy

    def get_distribution(self, obs: Observations) -> CategoricalDistribution:  # type: ignore[override]
        """The next-token distributions; twice differentiable, as TRPO needs it, until the weights change."""
        with ExitStack() as stack:
            if torch.is_grad_enabled():  # neither fused attention nor compiled layers have second derivatives
                stack.enter_context(sdpa_kernel(SDPBackend.MATH))
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            states = self.states(obs)
        result = CategoricalDistribution(self.num_tokens)
        result.distribution = vocabulary.TokenCategorical(states, self.raw_logits, self.shaping, self.num_tokens)
        return result

    def predict_values(self, obs: Observations) -> torch.Tensor:  # type: ignore[override]
        """Values ``(n, 1)``."""
        # Where the critic's loss leaves the language model alone, its states need no graph.
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.detach_value):
            states = self.states(obs)
        return self.values(states)

    def _predict(self, observation: Observations, deterministic: bool = False) -> torch.Tensor:  # type: ignore[override]
        return _choose(torch.log_softmax(self.logits(self.states(observation, decode=True)), dim=-1), deterministic)

    # What it is made of.

    def states(self, obs: Observations, decode: bool = False) -> torch.Tensor:
        """The language model's last hidden state after each observation, ``(n, hidden_size)``.

        Args:
            obs: the observations.
            decode: whether these rows will come back longer by a token, so that keeping keys and values pays.
        """
        sheets = self._read_sheets if self._views_are_exact() else None
        decoder = None if isinstance(obs, Packed) else self._decoder_for(len(obs["input_ids"]), decode)
        with self._precision():
            if decoder is not None:
                return decoder.states(*packing.unpad(obs))  # type: ignore[arg-type]
            packed = obs if isinstance(obs, Packed) else packing.fold(obs)
            if self._lengths_matter:
                return packing.hidden_states_apart(self._read_anew, packed)
            return packing.hidden_states(self._read, packed, sheets)

    def raw_logits(self, states: torch.Tensor) -> torch.Tensor:
        """The model's logits ``(n, num_tokens)`` in whatever type it computes them."""
        with self._precision():
            return head(causal_lm(self.model), states)[:, : self.num_tokens]

    @property
    def shaping(self) -> Shaping:
        """What makes the policy's logits of the model's."""
        return Shaping(self.temperature, self.forbidden if self._forbids else None)

    def shape_logits(self, logits: torch.Tensor) -> torch.Tensor:
        """Raw logits as those of the policy: float32, at its temperature, forbidden tokens masked."""
        return self.shaping(logits)

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        """The policy's logits ``(n, num_tokens)``, float32."""
        return self.shape_logits(self.raw_logits(states))

    def values(self, states: torch.Tensor) -> torch.Tensor:
        """The critic's values ``(n, 1)``, float32."""
        return self.value_head((states.detach() if self.detach_value else states).float())

    def actor_parameters(self) -> list[nn.Parameter]:
        """The language model's parameters that are trained (with LoRA, the adapters')."""
        return [p for p in self.model.parameters() if p.requires_grad]

    def critic_parameters(self) -> list[nn.Parameter]:
        """The value head's parameters."""
        return list(self.value_head.parameters())

    @contextmanager
    def without_adapter(self) -> Iterator[None]:
        """The language model as it was before LoRA training.

        Raises:
            ValueError: when the policy has no adapter.
        """
        if self.spec.lora is None:
            raise ValueError("the policy has no adapter; compare with a copy of it instead")
        self.forget()
        try:
            with cast(Any, self.model).disable_adapter():
                yield
        finally:
            self.forget()

    @contextmanager
    def without_checkpointing(self) -> Iterator[None]:
        """Keep all activations for backward, and allow keys and values to be kept, in training too."""
        training = self.model.training
        self.model.eval()  # transformers checkpoints where a model is in training; nothing else depends on it, as dropout is off
        try:
            yield
        finally:
            self.model.train(training)

    @property
    def engine(self) -> str:
        """``"slots"`` or ``"plain"``: how texts are read; a model that can't do with slots shows it on its first pass."""
        return self._engine

    def forget(self) -> None:
        """Drop keys and values: the weights have changed, or will."""
        self._decoders.clear()
        self._fast = None

    def _read(self, ids: torch.Tensor) -> torch.Tensor:
        # Padding on the right is never looked at by a token before it, so that no mask is needed but the causal one.
        return backbone(self.model)(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).last_hidden_state

    def _read_anew(self, ids: torch.Tensor) -> torch.Tensor:
        # Dynamic rotary embeddings stay scaled for the longest text so far until they see a short one.
        with torch.no_grad():
            self._read(ids[:1, :1])
        return self._read(ids)

    def _read_viewed(self, ids: torch.Tensor, positions: torch.Tensor, view: View) -> torch.Tensor:
        with viewed(causal_lm(self.model), view):
            return backbone(self.model)(input_ids=ids, position_ids=positions, use_cache=False).last_hidden_state

    def _read_sheets(self, ids: torch.Tensor, positions: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        return self._read_viewed(ids, positions, Masked(visible, positions))

    @contextmanager
    def _precision(self) -> Iterator[None]:
        device = self.value_head.weight.device
        enabled = bf16_is_fast(device) if self.autocast == "auto" else self.autocast
        with torch.autocast(device.type, torch.bfloat16, enabled=enabled):
            if torch.is_grad_enabled() or self.training:
                yield
                return
            self._forget_if_changed()
            if self._fast is None:
                self._fast = decoding.FastWeights(self.model, half=enabled)
            with self._fast.used():
                yield

    def _decoder_for(self, rows: int, decode: bool) -> decoding.Decoder | None:
        """The slots for a batch of so many rows, if they can be used now."""
        if self._engine == "plain" or self.training or torch.is_grad_enabled():
            return None
        self._forget_if_changed()
        if rows not in self._decoders:
            if not decode:
                return None
            if len(self._decoders) == 2:
                del self._decoders[next(iter(self._decoders))]
            self._decoders[rows] = self._new_decoder(rows)
        return self._decoders[rows]

    def _new_decoder(self, rows: int) -> decoding.Decoder:
        return decoding.Decoder(self._read_viewed, rows, self.value_head.weight.device)

    def _views_are_exact(self) -> bool:
        """Whether slots and sheets agree with plain passes for this model; tried once, and if not, said once."""
        if self._probed or self._engine == "plain":
            return self._engine != "plain"
        self._probed = True
        lm = causal_lm(self.model)
        config = lm.config.get_text_config()
        length = self.observation_space["input_ids"].shape[0]  # type: ignore[index]
        window, chunk = sliding_window(config), getattr(config, "attention_chunk_size", None)
        exact = lm.dtype == torch.float32 and torch.get_float32_matmul_precision() == "highest"
        device = self.value_head.weight.device
        decoder = self._new_decoder(3)
        try:
            with torch.autocast(device.type, enabled=False):
                error = decoding.probe(self._read, self._read_sheets, decoder, config.vocab_size, device)
            reason = "" if error < (1e-4 if exact else 5e-2) else f"its states are off by {error:.1e}"
        except Exception as failure:  # whatever a model's code raises on an attention it doesn't know
            reason = f"{type(failure).__name__}: {failure}"
        # What the probe's short texts don't show.
        if self._lengths_matter:
            reason = f"its positions depend on a text's length beyond {stable_context(config)} tokens"
        elif chunk is not None and chunk < length:
            reason = f"it attends in chunks of {chunk} tokens"
        elif window is not None and window < length and window not in decoder.view.windows:
            reason = f"its layers don't say which of them have the window of {window} tokens"
        if reason:
            warnings.warn(f"{type(lm).__name__} cannot decode with KV slots ({reason}); each prefix is read anew", stacklevel=2)
            self._engine = "plain"
        return not reason

    def _forget_if_changed(self) -> None:
        """Compare the weights' addresses and versions, and the active adapter, with those that the slots were filled under."""
        weights = [(p.data_ptr(), p._version) for p in self._parameters_of_model]
        if self.spec.lora is not None:
            weights.append(adapter_state(self.model))
        if weights != self._weights:
            self.forget()
            self._weights = weights

    # nn.Module and SB3 plumbing.

    def train(self, mode: bool = True) -> CausalLMPolicy:
        """Switch between training and evaluation; both compute the same, but keys and values are kept in evaluation only."""
        if self._missing is not None:
            raise self._missing
        if mode:
            self.forget()
        return super().train(mode) if mode != self.training else self

    def obs_to_tensor(self, observation: Mapping[str, np.ndarray]) -> tuple[dict[str, torch.Tensor], bool]:  # type: ignore[override]
        """Tensors of shape ``(n, length)``, and whether the observation was a batch."""
        arrays = {key: np.asarray(observation[key]) for key in ("input_ids", "attention_mask")}
        return {key: torch.as_tensor(np.atleast_2d(a), device=self.device) for key, a in arrays.items()}, arrays["input_ids"].ndim > 1

    def get_extra_state(self) -> str:
        """The spec as JSON: part of the saved state, so that the model can be built without its folder."""
        return json.dumps(asdict(self.spec.without_weights()))

    def set_extra_state(self, state: str) -> None:
        """Nothing: :meth:`load_state_dict` reads the spec before it loads weights."""

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load weights; builds the model first when its folder was gone."""
        if self._missing is not None:
            self._missing = None
            self._build_model(ModelSpec(**json.loads(state_dict["_extra_state"])))
            self.to(self.forbidden.device)
        return super().load_state_dict(state_dict, strict=strict, assign=assign)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_decoders": {}, "_fast": None, "_weights": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self._missing is None:
            self._hook_optimizer()  # optimizers leave their hooks out of copies

    def __getattr__(self, name: str) -> Any:
        if name in ("spec", "model", "value_head", "optimizer") and self.__dict__.get("_missing") is not None:
            raise self._missing  # type: ignore[misc]
        return super().__getattr__(name)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "lr_schedule": self._dummy_schedule,
            "model": self.spec.without_weights(),
            "temperature": self.temperature,
            "value_lr": self.value_lr,
            "detach_value": self.detach_value,
            "autocast": self.autocast,
            "checkpointing": self.checkpointing,
            "torch_compile": self.torch_compile,
            "engine": self._engine,
            "optimizer_class": self.optimizer_class,
            "optimizer_kwargs": self.optimizer_kwargs,
        }


def _check_spaces(observation_space: spaces.Space, action_space: spaces.Space) -> None:
    keys = {"input_ids", "attention_mask"}
    if not isinstance(observation_space, spaces.Dict) or keys - observation_space.spaces.keys():
        raise TypeError(
            f"observations must be Dict(input_ids, attention_mask), as lm_envs's Tokens environments give; got {observation_space}"
        )
    if not isinstance(action_space, spaces.Discrete) or action_space.start != 0:
        raise TypeError(f"actions must be Discrete(number of tokens); got {action_space}")


def _choose(log_p: torch.Tensor, deterministic: bool) -> torch.Tensor:
    if deterministic:
        return log_p.argmax(dim=-1)
    # One uniform number a row, sought in the cumulative distribution: torch.multinomial draws one a token. Just below the total, so
    # that rounding cannot lead past the last token that has a probability.
    cumulative = log_p.exp().double().cumsum(dim=-1)
    uniform = torch.rand(len(log_p), 1, dtype=torch.float64, device=log_p.device)
    return torch.searchsorted(cumulative, uniform * cumulative[:, -1:] * (1 - 1e-12), right=True)[:, 0]


def _scale_rates(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    for group in optimizer.param_groups:
        group["scheduled_lr"] = group["lr"]
        group["lr"] *= group["lr_scale"]


def _restore_rates(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    for group in optimizer.param_groups:
        group["lr"] = group.pop("scheduled_lr")
