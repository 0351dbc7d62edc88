"""`ReferenceKL`: a callback that keeps a policy near a reference model.

    algorithm.learn(20_000, callback=ReferenceKL(0.05))

At the end of each rollout it takes from the reward of each token what the policy has moved away from the reference there,

    r(t) - beta * (log pi(a(t) | s(t)) - log pi_ref(a(t) | s(t)))

(Ziegler et al. 2019, arXiv:1909.08593, equation 2, by the token), and has returns and advantages computed again. The algorithm is not
changed.
"""

from __future__ import annotations

import copy
import hashlib
import math
import warnings
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_model
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from torch import nn

from agents.buffer import EpisodeRolloutBuffer
from agents.models import ModelSpec, causal_lm, locate
from agents.packing import Packed
from agents.policy import CausalLMPolicy
from agents.vocabulary import CHUNK
from lm_envs import assets
from lm_envs.core import at_least, one_of
from lm_envs.tokens import load_tokenizer

CLIP = 0.2  # of the controller's relative error (Ziegler et al. 2019, section 2.2)

# Initial adapters that leave the weights below them as they were; others (PiSSA, OLoRA, ...) move a part of these into the adapter.
_INITS_BESIDE = (True, False, "eva", "gaussian")

Array = npt.NDArray[np.float32]


class ReferenceKL(BaseCallback):
    """Subtracts β·(log π(a|s) − log π_ref(a|s)) from the reward of each token; for PPO, A2C and TRPO on a ``CausalLMPolicy``.

    Both distributions are those of the policy: at its temperature, forbidden tokens masked; log π is what the rollout recorded. The
    environment is not touched: episode returns, as ``VecMonitor`` and this package's metrics report them, are the environment's own
    reward, without the penalty. The penalty has the unit of the rewards that reach the buffer, after ``VecNormalize`` where there is one.

    The reference is the model as it was when training with this callback first began: with LoRA the policy without its adapter, which
    takes no memory; else a frozen copy of the language model. A resumed run gets it from :func:`agents.checkpoint.load_kl`.

    With a ``target``, β follows the KL divergence: after each rollout of n tokens with divergence KL

        β ← β · (1 + K · clip(KL / target − 1, −0.2, 0.2)),   K = min(1, n / horizon)

    the proportional controller of Ziegler et al. (2019, arXiv:1909.08593, section 2.2), whose K is 0.1 a rollout. KL is the exact one
    if that is computed, else the sampled one.

    Logged each rollout, KL in nats: ``kl/beta``, the coefficient that was used; ``kl/sampled``, the mean over tokens of log π − log π_ref;
    ``kl/exact``, the mean over tokens of KL(π ‖ π_ref), summed over the whole vocabulary in each state that was visited; ``kl/per_reply``,
    the sum of these (of the sampled ones without ``exact``) divided by the number of replies that ended; ``kl/penalty``, the mean
    penalty a token; ``kl/reward``, the mean reward a token before the penalty.

    Cost: one forward pass of the reference over the rollout, and one of the policy for ``exact``.

    With a large β the penalties, not the environment's rewards, are most of what the critic learns. Its loss grows with their square and
    can drag the language model away from the reference: pass ``detach_value=True`` to the policy there.

    Args:
        beta: the coefficient β, at least 0; with ``target``, the first one. 0 measures and changes nothing.
        target: the KL divergence to hold, in nats; ``None`` keeps β as it is.
        per: what the target is for: ``"token"``, or ``"reply"`` for the sum over a reply's tokens. A reply ends where the environment
            adds tokens of its own, or with the episode.
        horizon: tokens over which β may change by about a fifth; see the formula.
        reference: another model to stay near: a name, a folder, a hub's name, a ``ModelSpec`` or a ``CausalLMPolicy``, of the
            environment's tokenizer.
        exact: whether ``kl/exact`` is computed.
        batch_size: tokens that are scored at a time, about.

    Raises:
        ValueError: for arguments out of range, an algorithm without :class:`~agents.buffer.EpisodeRolloutBuffer`, a reference of another
            tokenizer, or an adapter that cannot be taken off; all but the first when training begins.
        TypeError: when the algorithm's policy is no ``CausalLMPolicy``.
    """

    def __init__(
        self,
        beta: float = 0.05,
        *,
        target: float | None = None,
        per: Literal["token", "reply"] = "token",
        horizon: int = 10_000,
        reference: str | Path | ModelSpec | CausalLMPolicy | None = None,
        exact: bool = True,
        batch_size: int = 2048,
    ) -> None:
        super().__init__()
        if not (math.isfinite(beta) and beta >= 0):
            raise ValueError(f"beta must be a finite number of at least 0, got {beta}")
        if target is not None and not (math.isfinite(target) and target > 0):
            raise ValueError(f"target must be a positive number of nats, or None for a fixed beta; got {target}")
        if target is not None and beta == 0:
            raise ValueError("beta is changed by factors, so with a target it must begin above 0")
        self.beta = float(beta)
        self.target = target
        self.per = one_of("per", per, ("token", "reply"))
        self.horizon = at_least("horizon", horizon, 1)
        self.exact = exact
        self.batch_size = at_least("batch_size", batch_size, 1)
        self.reference: CausalLMPolicy | None = None  # set when training begins; None with LoRA: the policy without its adapter
        self._given = reference
        self._policy: CausalLMPolicy | None = None

    @classmethod
    def resumed(cls, settings: Mapping[str, Any], recipe: Mapping[str, Any] | None, weights: Path) -> ReferenceKL:
        """The callback that had these :attr:`settings` and this :attr:`recipe`; ``weights`` is read where the recipe has no source.

        Raises:
            FileNotFoundError: when the reference's source is gone.
            ValueError: when what is there is another model than it was.
        """
        if recipe is None:
            return cls(**settings)
        source = recipe["source"]
        spec = ModelSpec(**{**recipe["spec"], "source": locate(source) if source else None})
        with torch.random.fork_rng(devices=[]):  # random weights come first, if only to be replaced
            model = spec.build()
        if source is None:
            load_model(model, str(weights))
        if fingerprint(model) != recipe["fingerprint"]:
            raise ValueError(f"{source or weights} is not the model that the run began with")
        kl = cls(**settings, reference=_Built(**vars(spec), model=model))
        kl.recipe = dict(recipe)
        return kl

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments without ``reference``, with β as it is now; plain data."""
        return {name: getattr(self, name) for name in ("beta", "target", "per", "horizon", "exact", "batch_size")}

    @cached_property
    def recipe(self) -> dict[str, Any] | None:
        """What a checkpoint keeps to have the reference again; plain data, ``None`` with LoRA.

        ``source`` names what the weights can be read from again, an asset or a hub's name. It is ``None`` where the checkpoint must
        keep them: local folders are written to, and the folder of a checkpoint is written to by design.
        """
        if self._policy is None:
            raise RuntimeError("the reference is not known before training begins")
        if self.reference is None:
            return None
        spec, mark = self.reference.spec, fingerprint(self.reference.model)
        source = _lasting(spec.source)
        if source is not None:
            with torch.random.fork_rng(devices=[]), suppress(FileNotFoundError, RuntimeError):
                if fingerprint(spec.build()) == mark:  # the weights were not changed before training
                    return {"spec": asdict(spec.without_weights()), "source": source, "fingerprint": mark}
        return {"spec": asdict(spec.without_weights()), "source": None, "fingerprint": mark}

    # What SB3 calls.

    def _on_training_start(self) -> None:
        algorithm = cast(OnPolicyAlgorithm, self.model)
        policy, buffer = algorithm.policy, getattr(algorithm, "rollout_buffer", None)
        if not isinstance(policy, CausalLMPolicy):
            raise TypeError(f"ReferenceKL needs an agents.CausalLMPolicy; this algorithm has a {type(policy).__name__}")
        if not isinstance(buffer, EpisodeRolloutBuffer):
            raise ValueError(
                f"ReferenceKL needs an agents.EpisodeRolloutBuffer and this algorithm has a {type(buffer).__name__}: make it with "
                f"rollout_buffer_class=EpisodeRolloutBuffer and normalize_advantage=False, as agents.make does"
            )
        if self._policy is None:
            self.reference = self._referred(policy)
            self._policy = policy
        elif self._policy is not policy:
            raise ValueError("this ReferenceKL belongs to another algorithm; make a new one")

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        buffer = cast(EpisodeRolloutBuffer, cast(OnPolicyAlgorithm, self.model).rollout_buffer)
        log_ref, exact = self._scores(buffer)
        ratio = buffer.log_probs - log_ref
        reward, beta = float(buffer.rewards.mean()), self.beta
        buffer.rewards -= np.float32(beta) * ratio
        buffer.recompute()
        measured = ratio if exact is None else exact
        per_token = float(measured.mean(dtype=np.float64))
        replies = int(self._ends(buffer).sum())
        per_reply = float(measured.sum(dtype=np.float64)) / replies if replies else None
        kl = per_token if self.per == "token" else per_reply
        if self.target is not None and kl is not None:
            self.beta = adapted(beta, kl, self.target, min(1.0, measured.size / self.horizon))
        sampled = float(ratio.mean(dtype=np.float64))
        values = {"beta": beta, "sampled": sampled, "exact": None if exact is None else per_token, "per_reply": per_reply}
        for name, value in {**values, "penalty": beta * sampled, "reward": reward}.items():
            if value is not None:
                self.logger.record(f"kl/{name}", value)

    # How.

    @torch.no_grad()
    def _scores(self, buffer: EpisodeRolloutBuffer) -> tuple[Array, Array | None]:
        """The actions' log-probabilities under the reference, and the KL divergences in their states; ``(n_steps, n_envs)``."""
        policy = cast(CausalLMPolicy, self._policy)
        log_ref = np.zeros_like(buffer.rewards)
        exact = np.zeros_like(buffer.rewards) if self.exact else None
        rows = max(1, CHUNK // policy.num_tokens)
        for batch in buffer.batches(self.batch_size):
            theirs = self._reference_states(policy, batch.observations)
            ours = policy.states(batch.observations) if self.exact else None
            of_actions, of_states = [], []
            for start in range(0, len(theirs), rows):
                part = slice(start, start + rows)
                log_q = torch.log_softmax(policy.shape_logits(self._reference_logits(policy, theirs[part])), dim=-1)
                of_actions.append(log_q.gather(1, batch.actions[part, None])[:, 0])
                if ours is not None:
                    log_p = torch.log_softmax(policy.logits(ours[part]), dim=-1)
                    of_states.append(log_p.exp().mul_(log_p.sub_(log_q)).sum(dim=-1))
            log_ref[batch.steps, batch.envs] = torch.cat(of_actions).cpu().numpy()
            if exact is not None:
                exact[batch.steps, batch.envs] = torch.cat(of_states).cpu().numpy()
        return log_ref, exact

    def _reference_states(self, policy: CausalLMPolicy, packed: Packed) -> torch.Tensor:
        if self.reference is None:
            with policy.without_adapter():
                return policy.states(packed)
        return self.reference.states(packed.to(self.reference.device)).to(policy.device)

    def _reference_logits(self, policy: CausalLMPolicy, states: torch.Tensor) -> torch.Tensor:
        if self.reference is None:
            adapted_head = any(p.requires_grad for p in causal_lm(policy.model).get_output_embeddings().parameters())
            with policy.without_adapter() if adapted_head else nullcontext():
                return policy.raw_logits(states)
        return self.reference.raw_logits(states.to(self.reference.device)).to(policy.device)

    def _ends(self, buffer: EpisodeRolloutBuffer) -> npt.NDArray[np.bool_]:
        """The tokens after which the next observation is more than one token longer, or another episode's; ``(n_steps, n_envs)``."""
        last = np.maximum(np.asarray(self.locals["new_obs"]["attention_mask"]).sum(axis=1), 1)
        lengths = np.concatenate([buffer.lengths[1:], last[None]])
        starts = np.concatenate([buffer.episode_starts[1:], np.asarray(buffer.dones)[None]]).astype(np.bool_)
        return starts | (lengths != buffer.lengths + 1)

    def _referred(self, policy: CausalLMPolicy) -> CausalLMPolicy | None:
        """The reference for a policy."""
        given = self._given
        if given is None and policy.spec.lora is not None:
            _check_adapter(policy.spec.lora)
            return None
        if given is None:
            if getattr(self.model, "_n_updates", 0):
                warnings.warn(
                    "the model has been trained before; the reference is the model as it is now. A resumed run gets the one it began "
                    "with from agents.checkpoint.load_kl",
                    stacklevel=2,
                )
            return _frozen(_Built(**vars(policy.spec), model=copy.deepcopy(policy.model)), policy)
        if isinstance(given, CausalLMPolicy):
            if {id(p) for p in given.parameters()} & {id(p) for p in policy.parameters()}:
                raise ValueError("the reference shares parameters with the policy, so it would be trained too; give it a model of its own")
            reference = given
            reference.set_training_mode(False)
        else:
            if not isinstance(given, ModelSpec):
                given = ModelSpec.of(given, dtype=policy.spec.dtype, attention=policy.spec.attention)
            reference = _frozen(given, policy)
        if reference.num_tokens != policy.num_tokens:
            raise ValueError(f"the reference has {reference.num_tokens:,} tokens and the policy {policy.num_tokens:,}")
        self._check_tokenizer(reference.spec.source)
        return reference

    def _check_tokenizer(self, source: str | None) -> None:
        if source is None or not self.training_env.has_attr("tokenizer"):
            return
        try:
            theirs = load_tokenizer(source).get_vocab()
        except ValueError:
            return  # a model without a tokenizer; that it has a logit for each token is checked by the policy
        if theirs != self.training_env.get_attr("tokenizer")[0].get_vocab():
            raise ValueError(f"the reference {source} has another tokenizer than the environment: their tokens can't be compared")


def adapted(beta: float, kl: float, target: float, gain: float) -> float:
    """The coefficient after a rollout whose KL divergence was ``kl``; the controller of :class:`ReferenceKL` with K = ``gain``."""
    return beta * (1 + gain * min(max(kl / target - 1, -CLIP), CLIP))


def fingerprint(model: nn.Module) -> str:
    """A few hexadecimal digits that tell a model's weights from others, the same on every device.

    It adds up the bits of each tensor: enough to notice training or another version, not to stop a forger.
    """
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        bits = tensor.detach().view({1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()])
        digest.update(f"{name} {tuple(tensor.shape)} {bits.sum(dtype=torch.int64).item()}\n".encode())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class _Built(ModelSpec):
    """A spec whose model is there."""

    model: nn.Module | None = field(default=None, compare=False, repr=False)

    def build(self) -> nn.Module:
        return cast(nn.Module, self.model).eval()


def _frozen(spec: ModelSpec, policy: CausalLMPolicy) -> CausalLMPolicy:
    """A model as a policy that reads as ``policy`` does and is not trained."""
    with torch.random.fork_rng(devices=[]):  # a run is the same with a reference and without
        frozen = CausalLMPolicy(
            policy.observation_space,  # type: ignore[arg-type]
            policy.action_space,  # type: ignore[arg-type]
            lambda _: 0.0,
            model=spec,
            temperature=policy.temperature,
            autocast=policy.autocast,
            engine=cast(Any, policy.engine),
        )
    if isinstance(spec, _Built):
        frozen.spec = ModelSpec(**{name: value for name, value in vars(spec).items() if name != "model"})
    frozen = frozen.to(policy.device).requires_grad_(False)
    frozen.set_training_mode(False)
    return frozen


def _check_adapter(lora: Mapping[str, Any]) -> None:
    for name, known in (("bias", ("none",)), ("init_lora_weights", _INITS_BESIDE)):
        if lora.get(name, known[0]) not in known:
            raise ValueError(
                f"with {name}={lora[name]!r} the model without its adapter is not the one that training began with: choose "
                f"{' or '.join(map(repr, known))}, or pass the reference"
            )


def _lasting(source: str | None) -> str | None:
    """The name under which a source can be found again, here or elsewhere: an asset's or a hub's; ``None`` for a local folder."""
    if source is None:
        return None
    for name in assets.MODELS:
        try:
            if str(assets.path(name, download=False)) == source:
                return name
        except assets.AssetError:
            continue  # not here, so it isn't where the model came from
    return None if Path(source).exists() else source
