import copy

import numpy as np
import pytest
import torch

from agents import decoding, packing
from agents.models import ModelSpec
from agents.policy import CausalLMPolicy
from lm_envs.spaces import TokenSpace
from tests.agents.toys import FORBIDDEN, LENGTH, VOCAB, by_hand, random_observations, toy_observation_space, toy_vec_env


def policy_of(spec, **kwargs):
    torch.manual_seed(0)
    policy = CausalLMPolicy(toy_observation_space(), TokenSpace(VOCAB, FORBIDDEN), lambda _: 1e-3, model=spec, **kwargs)
    torch.nn.init.normal_(policy.value_head.weight, std=0.3)
    policy.set_training_mode(False)
    return policy


@pytest.fixture(params=["sdpa", "eager"])
def policy(request, model_dir):
    return policy_of(ModelSpec.of(model_dir, attention=request.param), temperature=0.7)


@torch.no_grad()
def agree(policy, obs):
    actions, values, log_probs = policy(obs)
    expected = by_hand(policy, obs, actions)
    return float(max((log_probs - expected[0]).abs().max(), (values[:, 0] - expected[2]).abs().max()))


@torch.no_grad()
def play(policy, steps, n=4):
    env = toy_vec_env(n)
    obs = env.reset()
    for _ in range(steps):
        tensors, _ = policy.obs_to_tensor(obs)
        yield tensors
        obs = env.step(policy(tensors)[0].numpy())[0]


def test_rollout_is_exact_over_turns_and_episodes(policy):
    for obs in play(policy, 40):
        assert agree(policy, obs) < 1e-4
    assert policy.engine == "slots"


def test_rollout_packed_update_and_plain_pass_agree(policy):
    kept = []
    with torch.no_grad():
        for obs in play(policy, 24):
            kept.append((obs, *policy(obs)))
    obs = {key: torch.cat([k[0][key] for k in kept]) for key in kept[0][0]}
    actions, values, log_probs = (torch.cat([k[i] for k in kept]) for i in (1, 2, 3))
    policy.set_training_mode(True)
    packed_values, packed_log_probs, _ = policy.evaluate_actions(obs, actions)
    expected = by_hand(policy, obs, actions)
    for ours, v in ((log_probs, values), (packed_log_probs, packed_values)):
        assert (ours - expected[0]).abs().max() < 1e-4
        assert (v[:, 0] - expected[2]).abs().max() < 1e-4


def test_one_token_a_step_is_read(policy):
    env = toy_vec_env(1)
    policy._views_are_exact()
    read = []
    inner = policy._read_viewed
    policy._read_viewed = lambda ids, *rest: (read.append(ids.shape[1]), inner(ids, *rest))[1]  # noqa: E731
    obs = env.reset()
    for _ in range(4):  # the first reply
        with torch.no_grad():
            policy(policy.obs_to_tensor(obs)[0])
        obs = env.step(np.array([8]))[0]
    assert read[0] > 1 and read[1:] == [1, 1, 1]


def test_unrelated_and_shrinking_rows(policy):
    for seed in range(8):
        assert agree(policy, random_observations(5, seed=seed)) < 1e-4


def test_long_rows_grow_the_slots(model_dirs, monkeypatch):
    monkeypatch.setattr(decoding, "FIRST_CAPACITY", 4)
    policy = policy_of(ModelSpec.of(model_dirs["llama"]))
    for obs in play(policy, 20):
        assert agree(policy, obs) < 1e-4
    for seed in range(4):
        assert agree(policy, random_observations(4, seed)) < 1e-4


def test_evaluation_in_between_leaves_no_stale_keys(policy):
    for step, obs in enumerate(play(policy, 20)):
        assert agree(policy, obs) < 1e-4
        if step % 3 == 0:
            assert agree(policy, random_observations(4, seed=step)) < 1e-4  # another environment, the same batch size
        if step % 5 == 0:
            assert agree(policy, random_observations(1 + step % 7, seed=step)) < 1e-4  # other batch sizes
    assert len(policy._decoders) <= 2


def change_in_place(policy):
    with torch.no_grad():
        next(iter(policy.model.parameters())).mul_(1.5)


def change_data(policy):
    for parameter in policy.model.parameters():
        parameter.data = parameter.data * 1.1


def step_optimizer(policy):
    for parameter in policy.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    policy.optimizer.param_groups[0]["lr"] = 0.05
    policy.optimizer.step()


def load_weights(policy):
    policy.load_state_dict({k: v * 1.1 if torch.is_tensor(v) else v for k, v in policy.state_dict().items()})


def train_and_back(policy):
    policy.set_training_mode(True)
    for parameter in policy.model.parameters():
        parameter.data.mul_(1.1)  # moves neither the address nor the version
    policy.set_training_mode(False)


@pytest.mark.parametrize("change", [change_in_place, change_data, step_optimizer, load_weights, train_and_back])
@pytest.mark.parametrize("autocast", [False, True])
def test_changed_weights_drop_the_slots(model_dirs, change, autocast):
    policy = policy_of(ModelSpec.of(model_dirs["gpt2"]), autocast=autocast)
    obs = random_observations(4)
    action = torch.full((4,), 8)

    def log_probs():
        with torch.no_grad():
            states = policy.states(obs, decode=True)
            return torch.log_softmax(policy.logits(states), dim=-1).gather(1, action[:, None])[:, 0]

    before = log_probs()
    change(policy)
    after = log_probs()
    fresh = policy.evaluate_actions(obs, action)[1].detach()
    assert (after - before).abs().max() > 1e-2
    assert (after - fresh).abs().max() < (0.3 if autocast else 1e-4)


def test_adapter_switch_drops_the_slots(model_dir):
    policy = policy_of(ModelSpec.of(model_dir, lora={"r": 2, "init_lora_weights": False}))
    obs = random_observations(4)
    with torch.no_grad():
        with_adapter = policy.states(obs, decode=True)
        with policy.without_adapter():
            without = policy.states(obs, decode=True)
            plain = packing.hidden_states(policy._read, packing.fold(obs))
        with policy.model.disable_adapter():  # not through the policy
            direct = policy.states(obs, decode=True)
        again = policy.states(obs, decode=True)
    assert torch.allclose(without, plain, atol=1e-4) and torch.allclose(direct, plain, atol=1e-4)
    assert torch.allclose(with_adapter, again, atol=1e-5) and (with_adapter - without).abs().max() > 1e-2


def test_training_mode_and_gradients_use_plain_passes(policy):
    obs = random_observations(4)
    with torch.no_grad():
        policy(obs)
    assert policy._decoders
    values, log_probs, _ = policy.evaluate_actions(obs, torch.full((4,), 8))
    (values.sum() + log_probs.sum()).backward()
    assert all(p.grad is not None for p in policy.actor_parameters())
    policy.set_training_mode(True)
    assert not policy._decoders
    with torch.no_grad():
        policy(obs)
    assert not policy._decoders


def test_a_failed_pass_leaves_nothing_behind(policy):
    obs = random_observations(4)
    assert agree(policy, obs) < 1e-4
    decoder = policy._decoders[4]
    inner = decoder._read

    def fails(*_):
        raise RuntimeError("out of memory")

    decoder._read = fails
    with pytest.raises(RuntimeError, match="out of memory"), torch.no_grad():
        policy(random_observations(4, seed=1))
    decoder._read = inner
    assert agree(policy, obs) < 1e-4


def test_a_wrong_cache_is_found_out(model_dirs, monkeypatch):
    policy = policy_of(ModelSpec.of(model_dirs["llama"]))
    inner = policy._read_viewed
    monkeypatch.setattr(policy, "_read_viewed", lambda ids, positions, *rest: inner(ids, positions + 1, *rest))
    # rotary attention sees relative positions alone: the same shift everywhere is no error
    assert policy._views_are_exact()
    policy = policy_of(ModelSpec.of(model_dirs["gpt2"]))
    inner = policy._read_viewed
    monkeypatch.setattr(policy, "_read_viewed", lambda ids, positions, *rest: inner(ids, positions + 1, *rest))
    with pytest.warns(UserWarning, match="states are off by"):
        assert not policy._views_are_exact()


def test_shared_beginnings_are_read_once(model_dirs):
    policy = policy_of(ModelSpec.of(model_dirs["llama"]))
    policy._views_are_exact()
    read = []
    inner = policy._read_viewed
    policy._read_viewed = lambda ids, *rest: (read.append(ids.shape[1]), inner(ids, *rest))[1]  # noqa: E731
    rng = np.random.default_rng(0)
    ids = np.tile(rng.integers(6, VOCAB, LENGTH), (8, 1))
    ids[:, 24:] = rng.integers(6, VOCAB, (8, LENGTH - 24))
    lengths = np.array([32, 31, 30, 29, 28, 27, 26, 25])
    obs = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy((np.arange(LENGTH) < lengths[:, None]).astype(np.int8))}
    assert agree(policy, obs) < 1e-4
    assert read == [24, (lengths - 24).sum()]
    ids[:4, 20:24] = 7  # half of the rows begin anew, at a place where one of them need not
    ids[0] = ids[7]
    assert agree(policy, {**obs, "input_ids": torch.from_numpy(ids)}) < 1e-4


def test_fast_weights_change_no_result(model_dir):
    policy = policy_of(ModelSpec.of(model_dir), autocast=True)
    obs = random_observations(8)
    with torch.no_grad():
        with_copies = policy.states(obs)
        assert policy._fast is not None
        with torch.autocast("cpu", torch.bfloat16):
            cast_each_time = packing.hidden_states(policy._read, packing.fold(obs))
    assert torch.equal(with_copies, cast_each_time)
    assert all(p.dtype == torch.float32 for p in policy.parameters())


def test_small_weights_are_stored_by_columns_while_decoding_and_put_back(model_dirs):
    policy = policy_of(ModelSpec.of(model_dirs["llama"]))
    names = [name for name, _ in policy.model.named_parameters()]
    with torch.no_grad():
        expected = packing.hidden_states(policy._read, packing.fold(random_observations(4)))
        with policy._precision():
            q = policy.model.model.layers[0].self_attn.q_proj.weight
            assert q.stride() == (1, q.shape[0]) and not q.requires_grad
            got = packing.hidden_states(policy._read, packing.fold(random_observations(4)))
    assert (got - expected).abs().max() < 1e-5
    assert [name for name, _ in policy.model.named_parameters()] == names
    assert all(p.is_contiguous() and p.requires_grad for p in policy.model.parameters())


def test_copies_of_a_policy_are_independent(policy):
    obs = random_observations(4)
    with torch.no_grad():
        policy(obs)
    twin = copy.deepcopy(policy)
    change_in_place(policy)
    assert agree(twin, obs) < 1e-4 and agree(policy, obs) < 1e-4


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("autocast", [False, True])
def test_on_a_gpu(model_dir, autocast):
    policy = policy_of(ModelSpec.of(model_dir), autocast=autocast).to("cuda")
    with torch.no_grad():
        for seed in range(4):
            obs = {key: value.cuda() for key, value in random_observations(4, seed).items()}
            actions, values, log_probs = policy(obs)
            with torch.enable_grad():
                plain_values, plain_log_probs, _ = policy.evaluate_actions(obs, actions)
            assert (log_probs - plain_log_probs).abs().max() < (0.3 if autocast else 1e-4)
            assert (values - plain_values).abs().max() < (0.3 if autocast else 1e-4)
    assert policy.engine == "slots" and LENGTH == obs["input_ids"].shape[1]
