"""Activation checkpointing: the same gradients from less memory, and no harm to what it doesn't go with."""

import copy
import pickle

import pytest
import sb3_contrib
import torch
from torch.autograd.graph import saved_tensors_hooks

from agents.algorithms import TRPO, make
from agents.buffer import EpisodeRolloutBuffer
from agents.models import ModelSpec, checkpoint_activations
from agents.packing import fold
from agents.policy import CausalLMPolicy
from lm_envs.spaces import TokenSpace
from tests.agents.tasks import early_env, save_small_model
from tests.agents.toys import FORBIDDEN, VOCAB, random_observations, toy_observation_space, toy_vec_env


def policy_of(model, **kwargs):
    torch.manual_seed(0)
    policy = CausalLMPolicy(toy_observation_space(), TokenSpace(VOCAB, FORBIDDEN), lambda _: 1e-3, model=model, **kwargs)
    torch.nn.init.normal_(policy.value_head.weight, std=0.3)
    return policy


def gradients(policy, obs):
    policy.set_training_mode(True)
    policy.zero_grad()
    value, log_prob, entropy = policy.evaluate_actions(obs, torch.arange(6, 30))
    (value.sum() + (log_prob * torch.linspace(-1, 1, 24)).sum() + (entropy**2).sum()).backward()
    return torch.cat([p.grad.flatten() for p in policy.parameters() if p.requires_grad])


@pytest.mark.parametrize("lora", [None, {"r": 2, "init_lora_weights": False}])
@pytest.mark.parametrize("packed", [False, True])
def test_gradients_are_the_same(model_dir, lora, packed):
    if lora:
        pytest.importorskip("peft")
    obs = random_observations(24)
    obs = fold(obs) if packed else obs
    plain, ours = (gradients(policy_of(model_dir, lora=lora, checkpointing=on), obs) for on in (False, True))
    assert plain.norm() > 0
    assert (plain - ours).norm() <= 1e-6 * plain.norm()


def saved(policy, grad=True):
    """Numbers kept for backward."""
    kept = {}

    def pack(tensor):
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor), torch.set_grad_enabled(grad):
        states = policy.states(random_observations(24))
    assert states.requires_grad == grad
    return sum(kept.values())


def test_less_is_kept_in_training_only(model_dir):
    plain, ours = policy_of(model_dir), policy_of(model_dir, checkpointing=True)
    for policy in (plain, ours):
        policy.set_training_mode(True)
    assert saved(ours) < 0.5 * saved(plain)
    with ours.without_checkpointing():
        assert saved(ours) > 0.9 * saved(plain)
    assert ours.model.training
    assert saved(ours, grad=False) == 0
    frozen = policy_of(model_dir, checkpointing=True).requires_grad_(False)
    frozen.set_training_mode(True)
    assert not frozen.states(random_observations(4)).requires_grad


def test_copies_are_on_their_own(model_dir):
    policy, obs = policy_of(model_dir, checkpointing=True), random_observations(24)
    for again in (copy.deepcopy(policy), pickle.loads(pickle.dumps(_without_schedule(policy)))):
        assert torch.equal(gradients(again, obs), gradients(policy, obs))
        assert saved(again) == saved(policy)


def _without_schedule(policy):
    policy._lr_schedule = None  # a lambda
    return policy


def test_slots_survive_a_first_pass_in_training(model_dir):
    policy = policy_of(model_dir, checkpointing=True)
    gradients(policy, random_observations(24))
    policy.set_training_mode(False)
    obs = toy_vec_env(2).reset()
    with torch.no_grad():
        tensors, _ = policy.obs_to_tensor(obs)
        log_prob = policy(tensors)[2]
    assert policy.engine == "slots" and policy._decoders and log_prob.shape == (2,)


@pytest.mark.parametrize("algorithm", [TRPO, sb3_contrib.TRPO])
def test_trpo_takes_the_same_step(algorithm, model_dirs):
    """The original differentiates through checkpoints twice."""
    ends = []
    for on in (False, True):
        policy_kwargs = {"model": model_dirs["llama"], "checkpointing": on, "detach_value": True}
        algo = algorithm(
            CausalLMPolicy, toy_vec_env(), n_steps=8, batch_size=32, cg_max_steps=3, n_critic_updates=1, seed=0,
            rollout_buffer_class=EpisodeRolloutBuffer, policy_kwargs=policy_kwargs,
        )  # fmt: skip
        start = torch.cat([p.detach().flatten() for p in algo.policy.parameters()])
        algo.learn(32)
        ends.append(torch.cat([p.detach().flatten() for p in algo.policy.parameters()]))
    assert (ends[0] - start).norm() > 1e-2
    assert (ends[0] - ends[1]).norm() < 1e-4 * (ends[0] - start).norm()


def test_make_and_saving(tmp_path):
    folder = save_small_model(tmp_path / "model")
    algo = make("ppo", early_env(2), model=folder, checkpointing=True, n_steps=8, seed=0).learn(16)
    assert algo.policy.checkpointing and not make("ppo", early_env(2), model=folder).policy.checkpointing
    algo.save(tmp_path / "saved")
    assert type(algo).load(tmp_path / "saved").policy.checkpointing


def test_models_that_cannot(model_dirs, monkeypatch):
    lm = ModelSpec.of(model_dirs["gpt2"]).build()
    monkeypatch.setattr(type(lm), "supports_gradient_checkpointing", False)
    with pytest.raises(ValueError, match="does not support"):
        checkpoint_activations(lm)
