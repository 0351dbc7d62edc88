import copy
import pickle
import shutil
import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_contrib import TRPO
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from agents.buffer import EpisodeRolloutBuffer
from agents.models import ModelSpec, compile_layers
from agents.packing import fold
from agents.policy import CausalLMPolicy
from lm_envs.spaces import TokenSpace
from tests.agents.toys import FORBIDDEN, LENGTH, VOCAB, Toy, by_hand, random_observations, toy_observation_space, toy_vec_env


def constant(rate):
    return lambda _: rate


def policy_of(model, rate=1e-3, n=VOCAB, **kwargs):
    torch.manual_seed(0)
    policy = CausalLMPolicy(toy_observation_space(), TokenSpace(n, FORBIDDEN), constant(rate), model=model, **kwargs)
    torch.nn.init.normal_(policy.value_head.weight, std=0.3)
    return policy


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("prefixes", [True, False])
def test_everything_agrees_with_a_computation_by_hand(model_dir, temperature, prefixes):
    policy = policy_of(model_dir, temperature=temperature)
    obs = random_observations(24, prefixes=prefixes)
    actions = torch.randint(6, VOCAB, (24,))
    with torch.no_grad():
        log_probs, entropies, values = by_hand(policy, obs, actions)
    for mode in (True, False):
        policy.set_training_mode(mode)
        for grad in (True, False):
            with torch.set_grad_enabled(grad):
                for observations in (obs, fold(obs)):
                    v, lp, e = policy.evaluate_actions(observations, actions)
                    distribution = policy.get_distribution(observations)
                    assert v.shape == (24, 1)
                    for ours, expected in (
                        (v[:, 0], values),
                        (policy.predict_values(observations)[:, 0], values),
                        (lp, log_probs),
                        (distribution.log_prob(actions), log_probs),
                        (e, entropies),
                        (distribution.entropy(), entropies),
                    ):
                        assert (ours - expected).abs().max() < 1e-4


def test_gradients_agree_with_a_computation_by_hand(model_dir):
    grads = []
    for ours in (True, False):
        policy = policy_of(model_dir, temperature=0.8)
        obs, actions = random_observations(16), torch.arange(6, 22)
        if ours:
            value, log_prob, entropy = policy.evaluate_actions(obs, actions)
        else:
            log_prob, entropy, value = by_hand(policy, obs, actions)
        weights = torch.linspace(-1, 1, 16)
        ((log_prob * weights).sum() + 0.3 * (entropy * weights).sum() + (value.flatten() ** 2).sum()).backward()
        grads.append(torch.cat([p.grad.flatten() for p in policy.parameters()]))
    assert (grads[0] - grads[1]).norm() < 1e-4 * grads[1].norm()


def test_forbidden_tokens_and_unused_logits_are_never_written(model_dirs):
    policy = policy_of(model_dirs["gpt2"], temperature=50.0)
    policy.set_training_mode(False)
    obs = random_observations(400, prefixes=False)
    with torch.no_grad():
        seen = torch.cat([policy(obs)[0] for _ in range(5)])
        assert policy.get_distribution(obs).distribution.probs[:, list(FORBIDDEN)].max() == 0
    assert set(seen.tolist()) == set(range(VOCAB)) - set(FORBIDDEN)  # at this temperature all others occur


def test_sampling_follows_the_distribution(model_dirs):
    policy = policy_of(model_dirs["llama"])
    policy.set_training_mode(False)
    row = {key: value[:1] for key, value in random_observations(1).items()}
    with torch.no_grad():
        p = policy.get_distribution(row).distribution.probs[0]
        actions, _, log_probs = policy({key: value.expand(4000, -1) for key, value in row.items()})
    share = torch.bincount(actions, minlength=VOCAB) / 4000
    assert (share - p).abs().max() < 5 * (0.25 / 4000) ** 0.5
    assert torch.allclose(log_probs, p[actions].log(), atol=1e-4)


def test_deterministic_takes_the_most_likely(model_dirs):
    policy = policy_of(model_dirs["gpt2"])
    obs = random_observations(8)
    with torch.no_grad():
        expected = policy.get_distribution(obs).distribution.probs.argmax(dim=1)
        assert torch.equal(policy(obs, deterministic=True)[0], expected)
    arrays = {key: value.numpy() for key, value in obs.items()}
    actions, state = policy.predict(arrays, deterministic=True)
    assert actions.tolist() == expected.tolist() and state is None
    single, _ = policy.predict({key: value[0] for key, value in arrays.items()}, deterministic=True)
    assert single.shape == () and single == expected[0]


def test_value_rate_is_kept_apart_by_stock_ppo(model_dirs):
    def run(rate, value_lr):
        model = PPO(
            CausalLMPolicy,
            toy_vec_env(2),
            n_steps=4,
            batch_size=8,
            n_epochs=1,
            learning_rate=rate,
            max_grad_norm=1e9,
            seed=0,
            policy_kwargs={"model": model_dirs["gpt2"], "value_lr": value_lr, "optimizer_class": torch.optim.SGD},
        )
        before = [p.detach().clone() for p in model.policy.parameters()]
        model.learn(8)
        policy = model.policy
        assert [group["lr"] for group in policy.optimizer.param_groups] == [rate, rate]  # as SB3 set it
        *actor, weight, bias = [p.detach() - b for p, b in zip(policy.parameters(), before, strict=True)]
        return torch.cat([a.flatten() for a in actor]), torch.cat([weight.flatten(), bias])

    actor, critic = run(1e-3, 1e-3)
    actor_too, critic_more = run(1e-3, 5e-3)
    assert torch.allclose(actor, actor_too, atol=1e-7) and actor.norm() > 0
    assert torch.allclose(critic_more, 5 * critic, rtol=1e-3)


def test_value_rate_follows_schedules_and_survives_saving(model_dirs, tmp_path):
    def warmup(progress):  # progress goes from 1 to 0
        return 1e-4 * (1 - progress)

    model = PPO(CausalLMPolicy, toy_vec_env(2), n_steps=4, batch_size=8, learning_rate=warmup, policy_kwargs={"model": model_dirs["gpt2"]})
    assert [group["lr_scale"] for group in model.policy.optimizer.param_groups] == [1.0, pytest.approx(10.0)]
    model.learn(16)
    model.save(tmp_path / "model")
    again = PPO.load(tmp_path / "model")
    used = []
    again.policy.optimizer.register_step_pre_hook(lambda optimizer, *_: used.append([group["lr"] for group in optimizer.param_groups]))
    again.set_env(toy_vec_env(2))
    again.learn(8)
    assert used and all(critic == pytest.approx(10 * actor) for actor, critic in used)


@pytest.mark.parametrize("buffer", [None, EpisodeRolloutBuffer])
@pytest.mark.parametrize("algorithm", [PPO, A2C, TRPO])
def test_stock_algorithms_train_save_and_load(algorithm, buffer, model_dirs, tmp_path):
    folder = shutil.copytree(model_dirs["gpt2"], tmp_path / "folder")
    options = {"batch_size": 16} if algorithm is PPO else {"batch_size": 32, "cg_max_steps": 2} if algorithm is TRPO else {}
    model = algorithm(
        CausalLMPolicy, toy_vec_env(), n_steps=8, gamma=1.0, seed=0, rollout_buffer_class=buffer,
        policy_kwargs={"model": str(folder), "temperature": 0.9}, **options,
    )  # fmt: skip
    before = [p.detach().clone() for p in model.policy.actor_parameters()]
    model.learn(64)
    assert all(not torch.equal(a, b) for a, b in zip(before, model.policy.actor_parameters(), strict=True))
    model.save(tmp_path / "model")
    obs = toy_vec_env().reset()
    shutil.rmtree(folder)  # the saved file is enough
    again = algorithm.load(tmp_path / "model")
    assert again.policy.temperature == 0.9
    for key, value in model.policy.state_dict().items():
        assert value == again.policy.state_dict()[key] if isinstance(value, str) else torch.equal(value, again.policy.state_dict()[key])
    state, state_too = (m.policy.optimizer.state_dict()["state"] for m in (model, again))
    assert state.keys() == state_too.keys() and state
    assert (model.predict(obs, deterministic=True)[0] == again.predict(obs, deterministic=True)[0]).all()
    again.set_env(toy_vec_env())
    again.learn(32)


def test_a_spec_in_policy_kwargs_needs_no_folder_to_load(model_dirs, tmp_path):
    folder = shutil.copytree(model_dirs["llama"], tmp_path / "folder")
    spec = ModelSpec.of(folder, lora={"r": 2}, dtype="bfloat16")
    model = PPO(CausalLMPolicy, toy_vec_env(), n_steps=8, batch_size=16, policy_kwargs={"model": spec})
    model.save(tmp_path / "model")
    shutil.rmtree(folder)
    again = PPO.load(tmp_path / "model", env=toy_vec_env())
    for key, value in model.policy.state_dict().items():
        assert not torch.is_tensor(value) or torch.equal(value, again.policy.state_dict()[key])
    assert again.policy.spec == spec
    again.learn(32)


def test_a_missing_model_is_reported_on_first_use(tmp_path):
    model = PPO(CausalLMPolicy, toy_vec_env(), n_steps=8, batch_size=16, policy_kwargs={"model": str(tmp_path / "gone")})
    with pytest.raises(FileNotFoundError, match="gone"):
        model.learn(8)
    with pytest.raises(FileNotFoundError, match="gone"):
        model.policy.actor_parameters()


def test_policy_save_and_load(model_dirs, tmp_path):
    policy = policy_of(model_dirs["gpt2"], temperature=0.7, detach_value=True)
    policy.save(tmp_path / "policy.pt")
    again = CausalLMPolicy.load(tmp_path / "policy.pt", device="cpu")
    assert (again.temperature, again.detach_value) == (0.7, True)
    obs = random_observations(4)
    with torch.no_grad():
        assert torch.equal(policy.predict_values(obs), again.predict_values(obs))


def test_pickled_policy_keeps_its_rates(model_dirs):
    policy = policy_of(model_dirs["gpt2"])
    policy._lr_schedule = None  # a lambda
    again = pickle.loads(pickle.dumps(policy))
    assert len(again.optimizer._optimizer_step_pre_hooks) == 1 and len(again.optimizer._optimizer_step_post_hooks) == 2


def test_detached_value_leaves_the_language_model_alone(model_dir):
    for detach in (False, True):
        policy = policy_of(model_dir, detach_value=detach)
        policy.predict_values(random_observations(4)).sum().backward()
        assert any(p.grad is not None for p in policy.actor_parameters()) != detach
        assert policy.value_head.weight.grad is not None


def test_parameters_by_role(model_dir):
    policy = policy_of(model_dir)
    assert len(policy.actor_parameters()) + 2 == len(list(policy.parameters()))
    lora = policy_of(model_dir, lora={"r": 2})
    names = {id(p): name for name, p in lora.named_parameters()}
    assert all("lora_" in names[id(p)] for p in lora.actor_parameters())
    assert [names[id(p)] for p in lora.critic_parameters()] == ["value_head.weight", "value_head.bias"]
    optimised = {id(p) for group in lora.optimizer.param_groups for p in group["params"]}
    assert optimised == {id(p) for p in [*lora.actor_parameters(), *lora.critic_parameters()]}


def test_lora_starts_as_the_model_and_returns_to_it(model_dir):
    plain, lora = policy_of(model_dir), policy_of(model_dir, lora={"r": 2})
    obs, actions = random_observations(8), torch.full((8,), 8)

    def log_prob(policy):
        with torch.no_grad():
            return policy.evaluate_actions(obs, actions)[1]

    assert torch.allclose(log_prob(plain), log_prob(lora), atol=1e-4)
    with torch.no_grad():
        for parameter in lora.actor_parameters():
            parameter.add_(0.3)
    assert (log_prob(plain) - log_prob(lora)).abs().max() > 1e-2
    with lora.without_adapter():
        assert torch.allclose(log_prob(plain), log_prob(lora), atol=1e-4)
    with pytest.raises(ValueError, match="no adapter"), plain.without_adapter():
        pass


def test_stock_ppo_with_lora_moves_adapters_alone(model_dirs):
    model = PPO(
        CausalLMPolicy, toy_vec_env(), n_steps=8, batch_size=16, rollout_buffer_class=EpisodeRolloutBuffer,
        policy_kwargs={"model": model_dirs["gpt2"], "lora": {"r": 2}},
    )  # fmt: skip
    before = {name: p.detach().clone() for name, p in model.policy.named_parameters()}
    model.learn(32)
    moved = {name for name, p in model.policy.named_parameters() if not torch.equal(p, before[name])}
    assert moved and all("lora_" in name or name.startswith("value_head") for name in moved)


def test_autocast_is_near_float32_and_keeps_its_weights(model_dir):
    exact, rounded = policy_of(model_dir), policy_of(model_dir, autocast=True)
    obs, actions = random_observations(16), torch.full((16,), 8)
    rounded.evaluate_actions(obs, actions)[1].sum().backward()
    with torch.no_grad():
        difference = (exact.evaluate_actions(obs, actions)[1] - rounded.evaluate_actions(obs, actions)[1]).abs().max()
    assert 0 < difference < 0.5
    assert all(p.dtype == torch.float32 and p.grad is None or p.grad.dtype == torch.float32 for p in rounded.parameters())
    assert rounded.predict_values(obs).dtype == rounded.logits(rounded.states(obs)).dtype == torch.float32


def test_bfloat16_weights(model_dir):
    policy = policy_of(model_dir, dtype="bfloat16")
    policy.set_training_mode(False)
    with torch.no_grad():
        _, values, log_probs = policy(random_observations(4))
    assert {p.dtype for p in policy.model.parameters()} == {torch.bfloat16}
    assert values.dtype == log_probs.dtype == torch.float32 and policy.engine == "slots"


def test_a_terminal_observation_is_valued(model_dirs):
    class Cut(Toy):
        def step(self, action):
            obs, reward, over, _, info = super().step(action)
            return obs, reward, over and self.turn < 2, len(self.ids) > 8, info

    model = PPO(
        CausalLMPolicy, DummyVecEnv([Cut, Cut]), n_steps=16, batch_size=16, rollout_buffer_class=EpisodeRolloutBuffer,
        policy_kwargs={"model": model_dirs["llama"]},
    )  # fmt: skip
    model.learn(32)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"temperature": 0.0}, "temperature"),
        ({"engine": "fast"}, "engine"),
        ({"use_sde": True}, "use_sde"),
        ({"n": 49}, "48 logits and the tokenizer 49 tokens"),
    ],
)
def test_refused(model_dirs, kwargs, message):
    with pytest.raises(ValueError, match=message):
        policy_of(model_dirs["gpt2"], **kwargs)


def test_refused_with_a_spec(model_dirs):
    with pytest.raises(ValueError, match="part of the ModelSpec"):
        policy_of(ModelSpec.of(model_dirs["gpt2"]), lora={})


def test_compiled_layers_compute_the_same_and_survive_copies(model_dir):
    obs, actions = random_observations(6), torch.arange(6, 12)
    results = []
    for compiled in ({"backend": "eager"}, False):
        policy = policy_of(model_dir, torch_compile=compiled)
        policy.set_training_mode(False)
        for each in (policy, copy.deepcopy(policy)):
            with torch.no_grad():
                results.append(each(obs, deterministic=True))
            assert each.engine == "slots"
        policy.set_training_mode(True)
        values, log_prob, entropy = policy.evaluate_actions(obs, actions)
        (values.sum() + log_prob.sum() + entropy.sum()).backward()
        results.append(torch.cat([p.grad.flatten() for p in policy.parameters()]))
    torch.testing.assert_close(results[:3], results[3:], rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="doesn't name its layers"):
        compile_layers(torch.nn.Identity(), {})


def test_context_shorter_than_observations(model_dirs):
    space = spaces.Dict({key: spaces.Box(0, VOCAB - 1, (65,), np.int64) for key in ("input_ids", "attention_mask")})
    with pytest.raises(ValueError, match="65 tokens and the model's context 64"):
        CausalLMPolicy(space, TokenSpace(VOCAB), constant(1e-3), model=model_dirs["gpt2"])


def test_other_spaces_are_refused(model_dirs):
    with pytest.raises(TypeError, match="input_ids"):
        PPO(CausalLMPolicy, gym.make("CartPole-v1"), policy_kwargs={"model": model_dirs["gpt2"]})
    with pytest.raises(TypeError, match="Discrete"):
        CausalLMPolicy(toy_observation_space(), spaces.Box(0, 1), constant(1e-3), model=model_dirs["gpt2"])


def test_trpo_subsampling_says_what_to_do(model_dirs):
    model = TRPO(
        CausalLMPolicy, toy_vec_env(), n_steps=8, batch_size=32, sub_sampling_factor=2, rollout_buffer_class=EpisodeRolloutBuffer,
        policy_kwargs={"model": model_dirs["gpt2"]},
    )  # fmt: skip
    with pytest.raises(TypeError, match="sub_sampling_factor must be 1"):
        model.learn(32)


def test_observations_of_another_length_are_predicted(model_dirs):
    """An evaluation environment may have another context than the training environment."""
    policy = policy_of(model_dirs["gpt2"])
    longer = {key: np.pad(value.numpy(), ((0, 0), (0, 8))) for key, value in random_observations(4).items()}
    short = {key: value[:, :LENGTH] for key, value in longer.items()}
    assert policy.predict(longer, deterministic=True)[0].tolist() == policy.predict(short, deterministic=True)[0].tolist()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("algorithm", [PPO, A2C, TRPO])
def test_trains_on_a_gpu(algorithm, model_dir):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = algorithm(
            CausalLMPolicy, toy_vec_env(), n_steps=8, rollout_buffer_class=EpisodeRolloutBuffer, device="cuda",
            policy_kwargs={"model": model_dir, "autocast": "auto"},
        )  # fmt: skip
        model.learn(64)
    assert model.policy.device.type == "cuda" and model.policy.engine == "slots"
