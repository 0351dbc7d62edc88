import gymnasium as gym
import numpy as np
import pytest
import sb3_contrib
import torch
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from agents.algorithms import TRPO, make
from agents.buffer import EpisodeRolloutBuffer
from agents.models import ModelSpec
from agents.policy import CausalLMPolicy
from agents.vec_env import SB3VecEnv
from lm_envs.tokens import TokenEnv
from tests.agents.tasks import EarlyEnv, early_env, save_small_model
from tests.lm_envs.toys import byte_level


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_small_model(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def parameters(algo):
    return torch.cat([p.detach().flatten() for p in algo.policy.parameters()])


# TRPO


def trained(cls, steps=2, **kwargs):
    algo = cls("MlpPolicy", gym.make("CartPole-v1"), n_steps=128, batch_size=64, seed=3, device="cpu", **kwargs)
    algo.learn(steps * 128)
    return algo


def test_trpo_takes_the_original_steps_on_a_network_of_its_own():
    ours, theirs = trained(TRPO), trained(sb3_contrib.TRPO)
    start = trained(TRPO, steps=0)
    assert (parameters(ours) - parameters(start)).abs().max() > 1e-2
    torch.testing.assert_close(parameters(ours), parameters(theirs), rtol=1e-3, atol=1e-5)


def updated(cls, model, steps=1, **overrides):
    """The algorithm after a rollout and a step, with its critic still."""
    made = make("trpo", early_env(4), model=model, seed=0, n_steps=16, n_critic_updates=1, value_lr=None, learning_rate=0.0, **overrides)
    algo = made
    if cls is not TRPO:
        algo = cls(
            CausalLMPolicy,
            made.env,
            seed=0,
            n_steps=16,
            batch_size=64,
            gamma=1.0,
            gae_lambda=1.0,
            learning_rate=0.0,
            n_critic_updates=1,
            cg_max_steps=made.cg_max_steps,
            normalize_advantage=False,
            rollout_buffer_class=EpisodeRolloutBuffer,
            policy_kwargs=made.policy_kwargs,
        )
    algo.learn(steps * 64)
    return algo


def test_trpo_takes_the_original_step_on_a_language_model(folder):
    ours, theirs = updated(TRPO, folder), updated(sb3_contrib.TRPO, folder)
    start = updated(TRPO, folder, steps=0)
    moved = (parameters(ours) - parameters(start)).norm()
    assert moved > 1e-2
    assert (parameters(ours) - parameters(theirs)).norm() < 1e-3 * moved


def measured_kl(algo, model):
    """Between the policy after its step and before, in the states of the rollout."""
    start = updated(TRPO, model, steps=0).policy
    with torch.no_grad():
        batch = next(algo.rollout_buffer.get())
        new, old = (policy.get_distribution(batch.observations).distribution for policy in (algo.policy, start))
        return float(torch.distributions.kl_divergence(new, old).mean())


def test_trpo_trains_parameters_with_value_in_their_names(tmp_path):
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 128}
    GPTNeoXForCausalLM(GPTNeoXConfig(vocab_size=264, **sizes)).save_pretrained(tmp_path)
    byte_level().save_pretrained(tmp_path)
    algo, start = updated(TRPO, tmp_path), updated(TRPO, tmp_path, steps=0)
    named = {name for name, p in algo.policy.named_parameters() if not torch.equal(p, dict(start.policy.named_parameters())[name])}
    assert any("query_key_value" in name for name in named)
    assert not any("value_head" in name for name in named)
    assert 0 < measured_kl(algo, tmp_path) < algo.target_kl


def test_trpo_trains_adapters_and_leaves_the_rest(folder):
    pytest.importorskip("peft")
    algo, start = updated(TRPO, folder, lora={"r": 4}), updated(TRPO, folder, steps=0, lora={"r": 4})
    pairs = zip(algo.policy.model.named_parameters(), start.policy.model.parameters(), strict=True)
    moved = {name for (name, ours), theirs in pairs if not torch.equal(ours, theirs)}
    assert moved and all("lora_" in name for name in moved)


# make


def test_defaults_suit_language_models(folder):
    env = early_env(4, max_reply_tokens=6)
    for name, cls in (("ppo", PPO), ("a2c", A2C), ("trpo", TRPO)):
        algo = make(name, env, model=folder, seed=0)
        assert type(algo) is cls and isinstance(algo.policy, CausalLMPolicy) and isinstance(algo.env, VecMonitor)
        assert (algo.gamma, algo.gae_lambda, algo.n_steps, algo.normalize_advantage) == (1.0, 1.0, 24, False)
        assert isinstance(algo.rollout_buffer, EpisodeRolloutBuffer) and algo.rollout_buffer.normalize_advantage
        assert isinstance(algo.policy.optimizer, torch.optim.AdamW)
        assert algo.policy.optimizer.param_groups[0]["weight_decay"] == 0
    assert make("ppo", env, model=folder).batch_size == 24


def test_overrides_reach_algorithm_policy_and_buffer(folder):
    algo = make("ppo", early_env(2), model=folder, learning_rate=1e-3, n_epochs=3, temperature=0.7, normalize_advantage=False, batch_size=8)
    assert (algo.learning_rate, algo.n_epochs, algo.policy.temperature, algo.batch_size) == (1e-3, 3, 0.7, 8)
    assert not algo.rollout_buffer.normalize_advantage


def test_lora_learns_faster_unless_told(folder):
    pytest.importorskip("peft")
    assert make("ppo", early_env(2), model=folder, lora=True).learning_rate == 10 * make("ppo", early_env(2), model=folder).learning_rate
    assert make("ppo", early_env(2), model=folder, lora={"r": 2}, learning_rate=1e-5).learning_rate == 1e-5


def test_learning_rates_are_apart(folder):
    algo = make("a2c", early_env(2), model=folder, learning_rate=0.0, seed=0)
    start = parameters(algo)
    algo.learn(128)
    head = sum(p.numel() for p in algo.policy.value_head.parameters())
    moved = (parameters(algo) - start).abs() > 0
    assert not moved[:-head].any()


def test_environments_of_every_kind(folder):
    tokenizer = byte_level()

    def single():
        return TokenEnv(EarlyEnv(), tokenizer, max_length=64, max_reply_tokens=8)

    sync = gym.vector.SyncVectorEnv([single] * 2, autoreset_mode=gym.vector.AutoresetMode.SAME_STEP)
    for env in (early_env(2), sync, SB3VecEnv(early_env(2)), DummyVecEnv([single, single]), VecMonitor(SB3VecEnv(early_env(2)))):
        algo = make("ppo", env, model=folder, seed=0, n_steps=16).learn(32)
        assert algo.num_timesteps == 32 and len(algo.ep_info_buffer) > 0
        assert algo.n_steps == 16


def test_an_id_gets_the_models_tokenizer(folder):
    algo = make("ppo", "lm_envs/SentimentTokens-v0", model=folder, n_envs=3, env_kwargs={"max_length": 200, "target": "positive"})
    assert algo.env.num_envs == 3
    assert algo.env.get_attr("tokenizer")[0].get_vocab() == byte_level().get_vocab()


def test_a_spec_is_a_model(folder):
    assert make("a2c", early_env(2), model=ModelSpec.of(folder)).policy.spec == ModelSpec.of(folder)
    with pytest.raises(ValueError, match="part of the ModelSpec"):
        make("a2c", early_env(2), model=ModelSpec.of(folder), dtype="bfloat16")


def test_mistakes_are_explained(folder):
    env = early_env(2)
    with pytest.raises(ValueError, match="'a2c', 'ppo', 'trpo'; got 'dqn'"):
        make("dqn", env, model=folder)
    with pytest.raises(TypeError, match="no argument 'learning_rat';.*learning_rate.*temperature"):
        make("ppo", env, model=folder, learning_rat=1.0)
    with pytest.raises(TypeError, match="got CartPoleEnv"):
        make("ppo", gym.make("CartPole-v1").unwrapped, model=folder)
    with pytest.raises(ValueError, match="need a token environment"):
        make("ppo", DummyVecEnv([lambda: gym.make("CartPole-v1")]), model=folder)
    with pytest.raises(ValueError, match="speaks text; agents that write tokens need lm_envs/SentimentTokens-v0"):
        make("ppo", "lm_envs/Sentiment-v0", model=folder)
    with pytest.raises(ValueError, match="env_kwargs are for an environment's id"):
        make("ppo", env, model=folder, env_kwargs={"x": 1})
    with pytest.raises(ValueError, match=r"tokenizer is not the one of .* \(2 entries differ"):
        make("ppo", early_env(2, byte_level(extra=["<think>", "</think>"])), model=folder)
    with pytest.raises(FileNotFoundError, match="no causal LM at"):
        make("ppo", env, model=folder / "nowhere")


# Learning


@pytest.mark.parametrize(
    ("name", "overrides", "tokens"),
    [
        ("ppo", {"learning_rate": 2e-2}, 3_000),
        ("a2c", {"learning_rate": 2e-2}, 5_000),
        ("trpo", {"target_kl": 0.3, "n_steps": 16, "n_critic_updates": 1}, 3_500),
    ],
)
def test_it_learns(folder, name, overrides, tokens):
    algo = make(name, early_env(16), model=folder, seed=0, **overrides)
    algo.learn(512)
    first = np.array([episode["r"] for episode in algo.ep_info_buffer])
    algo.learn(tokens)
    last = np.array([episode["r"] for episode in algo.ep_info_buffer])
    error = np.sqrt(first.var() / len(first) + last.var() / len(last))
    assert last.mean() - first.mean() > max(8 * error, 0.2)
