"""The exactness contract on every supported family: rollout, packed update and plain passes agree, or the engine says it is plain."""

import warnings

import numpy as np
import pytest
import torch
import transformers
from stable_baselines3 import PPO
from transformers import AutoModelForCausalLM

from agents import packing
from agents.buffer import EpisodeRolloutBuffer
from agents.models import ModelSpec
from agents.policy import CausalLMPolicy
from lm_envs.spaces import TokenSpace
from tests.agents.toys import FORBIDDEN, LOGITS, VOCAB, by_hand, random_observations, toy_observation_space, toy_vec_env

SIZES = {
    "vocab_size": LOGITS,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
    "pad_token_id": None,
    "bos_token_id": 2,
    "eos_token_id": 1,
}
OLDER = {key: value for key, value in SIZES.items() if key != "num_key_value_heads"}  # a key for each query
SLOTS = {
    "gpt2": ("GPT2", {"vocab_size": LOGITS, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.3}),
    "llama": ("Llama", SIZES),
    "qwen2": ("Qwen2", SIZES),
    "qwen2-window": ("Qwen2", {**SIZES, "use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1}),
    "qwen3": ("Qwen3", {**SIZES, "head_dim": 8}),
    "mistral": ("Mistral", {**SIZES, "sliding_window": 6}),
    "gemma3": ("Gemma3Text", {**SIZES, "head_dim": 8, "sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"]}),
    "gpt-neox": ("GPTNeoX", OLDER),
    "phi3": ("Phi3", SIZES),
    "phi3-window": ("Phi3", {**SIZES, "sliding_window": 6}),
    "opt": ("OPT", {**OLDER, "ffn_dim": 48, "word_embed_proj_dim": 32, "init_std": 0.3, "pad_token_id": 3}),
    "smollm3": ("SmolLM3", {**SIZES, "no_rope_layers": [1, 0]}),
    "granite": ("Granite", {**SIZES, "logits_scaling": 2.0, "residual_multiplier": 0.5, "attention_multiplier": 0.2}),
}
NTK = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}
LONG = {"rope_type": "longrope", "rope_theta": 1e4, "long_factor": [4.0] * 4, "short_factor": [1.0] * 4}
PLAIN = {
    "bloom": ("Bloom", {"vocab_size": LOGITS, "hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.3}),
    "mamba": ("Mamba", {"vocab_size": LOGITS, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4, "initializer_range": 0.3}),
    "hybrid": ("Lfm2", {**SIZES, "layer_types": ["conv", "full_attention"], "full_attn_idxs": [1]}),
    "llama-dynamic": ("Llama", {**SIZES, "max_position_embeddings": 8, "rope_parameters": NTK}),
    "phi3-long": ("Phi3", {**SIZES, "original_max_position_embeddings": 8, "rope_parameters": LONG}),
    "gemma2-capped": ("Gemma2", {**SIZES, "head_dim": 8, "attn_logit_softcapping": 2.0}),
}


def spec_of(name: str, attention: str = "auto") -> ModelSpec:
    kind, sizes = {**SLOTS, **PLAIN}[name]
    config = getattr(transformers, f"{kind}Config")(**sizes)
    return ModelSpec.of(AutoModelForCausalLM.from_config(config), attention=attention)


def policy_of(name: str, attention: str = "auto") -> CausalLMPolicy:
    torch.manual_seed(3)
    policy = CausalLMPolicy(
        toy_observation_space(), TokenSpace(VOCAB, FORBIDDEN), lambda _: 1e-3, model=spec_of(name, attention), temperature=0.9
    )
    torch.nn.init.normal_(policy.value_head.weight, std=0.3)
    policy.set_training_mode(False)
    return policy


def check_rollout(policy: CausalLMPolicy, steps: int) -> tuple[dict[str, torch.Tensor], torch.Tensor, int, int]:
    """Play; every step agrees with one plain pass a row. Returns the transitions, the fewest episodes of a row, the longest text."""
    env = toy_vec_env(3)
    obs, kept, episodes = env.reset(), [], np.zeros(3, dtype=int)
    with torch.no_grad():
        for _ in range(steps):
            tensors, _ = policy.obs_to_tensor(obs)
            actions, values, log_probs = policy(tensors)
            expected = by_hand(policy, tensors, actions)
            assert (log_probs - expected[0]).abs().max() < 1e-4 and (values[:, 0] - expected[2]).abs().max() < 1e-4
            kept.append((tensors, actions))
            obs, _, dones, _ = env.step(actions.numpy())
            episodes += dones
    together = {key: torch.cat([k[0][key] for k in kept]) for key in kept[0][0]}
    return together, torch.cat([k[1] for k in kept]), int(episodes.min()), int(together["attention_mask"].sum(1).max())


def check_update(policy: CausalLMPolicy, obs: dict[str, torch.Tensor], actions: torch.Tensor) -> None:
    """Packed results and their gradients agree with plain passes."""
    policy.set_training_mode(True)
    weights = torch.linspace(-1, 1, len(actions))
    values, log_prob, entropy = policy.evaluate_actions(obs, actions)
    packed, plain = (log_prob, entropy, values[:, 0]), by_hand(policy, obs, actions)
    gradients = []
    for log_prob, entropy, values in (packed, plain):
        policy.zero_grad()
        ((log_prob + 0.3 * entropy + values) * weights).sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in policy.parameters() if p.grad is not None]))
    assert all((a - b).abs().max() < 1e-4 for a, b in zip(packed, plain, strict=True))
    assert (gradients[0] - gradients[1]).norm() < 1e-4 * gradients[1].norm()


@pytest.mark.parametrize("name", SLOTS)
def test_families_with_slots(name, monkeypatch):
    monkeypatch.setattr(packing, "SHEET_SHARE", 10.0)  # sheets even where they don't pay
    policy = policy_of(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        obs, actions, episodes, longest = check_rollout(policy, 32)
    assert policy.engine == "slots"
    assert episodes >= 3 and longest > 12  # every slot was refilled, with texts beyond the windows
    check_update(policy, obs, actions)


@pytest.mark.parametrize("name", ["mistral", "gemma3", "qwen2-window"])
def test_windows_with_eager_attention(name):
    policy = policy_of(name, "eager")
    check_rollout(policy, 12)
    assert policy.engine == "slots"


@pytest.mark.parametrize("name", PLAIN)
def test_families_without_say_so_once_and_stay_exact(name):
    policy = policy_of(name)
    with pytest.warns(UserWarning, match="each prefix is read anew"):
        obs, actions, *_ = check_rollout(policy, 12)
    assert policy.engine == "plain"
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        check_update(policy, {key: value[:16] for key, value in obs.items()}, actions[:16])


@pytest.mark.parametrize("name", ["mistral", "gemma3", "gpt-neox", "opt"])
def test_activation_checkpointing_sees_the_same_sheets(name, monkeypatch):
    monkeypatch.setattr(packing, "SHEET_SHARE", 10.0)
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(3)
        policy = CausalLMPolicy(
            toy_observation_space(), TokenSpace(VOCAB, FORBIDDEN), lambda _: 1e-3, model=spec_of(name), checkpointing=checkpointing
        )
        policy.set_training_mode(True)
        values, log_prob, entropy = policy.evaluate_actions(random_observations(12), torch.arange(6, 18))
        (log_prob.sum() + entropy.sum() + values.sum()).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in policy.parameters() if p.grad is not None]))
    assert torch.allclose(gradients[0], gradients[1], atol=1e-5)


@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt2"])
def test_stock_ppo_starts_each_update_at_ratio_one(name):
    seen = []

    class Watched(PPO):
        def train(self):
            data = next(iter(self.rollout_buffer.get(8)))
            self.policy.set_training_mode(True)
            log_prob = self.policy.evaluate_actions(data.observations, data.actions.flatten())[1]
            seen.append((log_prob - data.old_log_prob).exp().detach())
            super().train()

    ppo = Watched(
        CausalLMPolicy, toy_vec_env(3), n_steps=16, batch_size=8, n_epochs=1, learning_rate=1e-2, policy_kwargs={"model": spec_of(name)},
        rollout_buffer_class=EpisodeRolloutBuffer, normalize_advantage=False, seed=0,
    )  # fmt: skip
    ppo.learn(3 * 48)
    assert len(seen) == 3 and all((ratio - 1).abs().max() < 1e-4 for ratio in seen)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", SLOTS)
def test_families_on_a_gpu(name):
    policy = policy_of(name).to("cuda")
    env = toy_vec_env(3)
    obs = env.reset()
    for _ in range(24):
        tensors, _ = policy.obs_to_tensor(obs)
        with torch.no_grad():
            actions, values, log_probs = policy(tensors)
            expected = by_hand(policy, tensors, actions)
        assert (log_probs - expected[0]).abs().max() < 1e-4 and (values[:, 0] - expected[2]).abs().max() < 1e-4
        obs = env.step(actions.cpu().numpy())[0]
    assert policy.engine == "slots"
