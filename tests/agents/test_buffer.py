import numpy as np
import pytest
import torch
from sb3_contrib import TRPO
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.buffers import DictRolloutBuffer

from agents.buffer import EpisodeRolloutBuffer
from agents.models import ModelSpec
from agents.policy import CausalLMPolicy
from lm_envs.spaces import TokenSpace
from tests.agents.toys import FORBIDDEN, LENGTH, VOCAB, Toy, toy_observation_space, toy_vec_env


def rollout(steps=24, n=3, seed=0, **kwargs):
    """The same random rollout in our buffer and in SB3's."""
    spaces = toy_observation_space(), TokenSpace(VOCAB, FORBIDDEN)
    ours = EpisodeRolloutBuffer(steps, *spaces, "cpu", gae_lambda=0.9, gamma=0.95, n_envs=n, **kwargs)
    theirs = DictRolloutBuffer(steps, *spaces, "cpu", gae_lambda=0.9, gamma=0.95, n_envs=n)
    rng, env = np.random.default_rng(seed), toy_vec_env(n)
    obs, starts = env.reset(), np.ones(n, dtype=bool)
    for _ in range(steps):
        actions = rng.integers(1, VOCAB, n)
        following, rewards, dones, _ = env.step(actions)
        values, log_probs = (torch.from_numpy(rng.normal(size=n).astype(np.float32)) for _ in range(2))
        for buffer in (ours, theirs):
            buffer.add(obs, actions.reshape(-1, 1), rewards, starts, values[:, None], log_probs)
        obs, starts = following, dones
    last = torch.from_numpy(rng.normal(size=(n, 1)).astype(np.float32))
    for buffer in (ours, theirs):
        buffer.compute_returns_and_advantage(last, dones)
    return ours, theirs


def transitions(samples):
    """Each transition as plain numbers, sorted."""
    out = []
    for s in samples:
        packed = s.observations
        if isinstance(packed, dict):
            texts = [ids[: int(m.sum())].tolist() for ids, m in zip(packed["input_ids"], packed["attention_mask"], strict=True)]
        else:
            texts = [packed.rows[r][: p + 1].tolist() for r, p in zip(packed.row, packed.position, strict=True)]
        rest = torch.stack([s.actions[:, 0].float(), s.old_values, s.old_log_prob, s.advantages, s.returns], dim=1)
        out += [(text, row.tolist()) for text, row in zip(texts, rest, strict=True)]
    return sorted(out)


def test_holds_what_sb3s_buffer_holds():
    ours, theirs = rollout(normalize_advantage=False)
    expected = transitions(theirs.get())
    for size in (None, 24, 7):
        got = transitions(ours.get(size))
        assert [text for text, _ in got] == [text for text, _ in expected]
        np.testing.assert_allclose([r for _, r in got], [r for _, r in expected], rtol=1e-6)
    np.testing.assert_array_equal(ours.returns.T.ravel(), theirs.returns.ravel())  # SB3 flattens its own in place


def test_each_token_is_kept_once():
    ours, _ = rollout(steps=200)
    kept = sum(len(stretch.ids) for stretch in ours._closed)
    assert kept < 200 * 3 * 3 < 200 * 3 * LENGTH  # a toy episode has at most 32 tokens for 8 steps


def test_advantages_are_normalised_over_the_rollout():
    ours, theirs = rollout()
    advantages = torch.cat([s.advantages for s in ours.get(16)])
    assert advantages.mean().abs() < 1e-5 and (advantages.std() - 1).abs() < 1e-4
    raw = torch.from_numpy(theirs.advantages.ravel())
    expected = (raw - raw.mean()) / (raw.std() + 1e-8)
    np.testing.assert_allclose(np.sort(advantages), np.sort(expected), rtol=1e-4, atol=1e-6)


def test_minibatches_are_whole_stretches_of_near_equal_size():
    ours, _ = rollout(steps=64, n=4)
    longest = max(s.stop - s.start for s in ours._closed)
    samples = list(ours.get(32))
    sizes = [len(s.actions) for s in samples]
    assert len(sizes) == 8 and sum(sizes) == 256 and max(sizes) - min(sizes) <= longest
    assert sum(len(s.observations.rows) for s in samples) == len(ours._closed)


def test_deals_differ_and_follow_the_seed():
    ours, _ = rollout(steps=64)

    def deal(seed):
        np.random.seed(seed)
        return [sorted(s.actions.flatten().tolist()) for s in ours.get(32)]

    assert deal(0) == deal(0) != deal(1)


def test_a_stretch_longer_than_a_batch_is_cut():
    class Endless(Toy):
        def step(self, action):
            self.ids.append(int(action))
            return self._observe(), 0.0, False, False, {}

    env = Endless()
    obs, _ = env.reset(seed=0)
    buffer = EpisodeRolloutBuffer(16, env.observation_space, env.action_space, "cpu")
    for i in range(16):
        buffer.add({k: v[None] for k, v in obs.items()}, np.array([7]), np.zeros(1), np.array([i == 0]), torch.zeros(1, 1), torch.zeros(1))
        obs = env.step(7)[0]
    buffer.compute_returns_and_advantage(torch.zeros(1, 1), np.array([False]))
    assert [len(s.actions) for s in buffer.get(5)] == [5, 5, 6] or sorted(len(s.actions) for s in buffer.get(5)) == [5, 5, 6]
    assert len(buffer._closed) == 1 and len(list(buffer.get())) == 1


def test_observations_that_are_not_prefixes_are_kept_apart():
    space = toy_observation_space()
    buffer = EpisodeRolloutBuffer(3, space, TokenSpace(VOCAB), "cpu")
    texts = [[7, 8, 9], [7, 8], [7, 4, 4]]  # shorter, then changed: no token environment does this
    for text in texts:
        ids = np.zeros((1, LENGTH), dtype=np.int64)
        ids[0, : len(text)] = text
        mask = (np.arange(LENGTH) < len(text))[None].astype(np.int8)
        buffer.add({"input_ids": ids, "attention_mask": mask}, np.array([7]), np.zeros(1), np.zeros(1), torch.zeros(1), torch.zeros(1))
    buffer.compute_returns_and_advantage(torch.zeros(1), np.zeros(1))
    assert [text for text, _ in transitions(buffer.get())] == sorted(texts)


def test_batches_say_where_transitions_come_from_and_recompute_follows_rewards():
    ours, _ = rollout(normalize_advantage=False)
    before = ours.returns.copy()
    seen = np.zeros_like(ours.rewards)
    for batch in ours.batches(16):
        np.testing.assert_array_equal(ours.actions[batch.steps, batch.envs], batch.actions)
        assert (ours.lengths[batch.steps, batch.envs] == batch.observations.position + 1).all()
        seen[batch.steps, batch.envs] += 1
        ours.rewards[batch.steps, batch.envs] -= 0.5
    assert (seen == 1).all()
    ours.recompute()
    assert (ours.returns < before).all()


def test_recompute_needs_a_rollout():
    buffer = EpisodeRolloutBuffer(3, toy_observation_space(), TokenSpace(VOCAB), "cpu")
    with pytest.raises(RuntimeError, match="on_rollout_end"):
        buffer.recompute()


@pytest.mark.parametrize("algorithm", [PPO, A2C, TRPO])
def test_an_update_is_the_same_with_and_without(algorithm, model_dirs):
    """Whole-rollout minibatches: our buffer with packing against SB3's own buffer and plain decoding."""
    options = {
        PPO: {"batch_size": 48, "n_epochs": 3, "normalize_advantage": True},
        A2C: {"normalize_advantage": True, "use_rms_prop": False},
        TRPO: {"batch_size": 48, "normalize_advantage": True, "n_critic_updates": 2, "cg_max_steps": 3},
    }[algorithm]
    results = []
    for buffer, engine in ((EpisodeRolloutBuffer, "slots"), (None, "plain")):
        spec = ModelSpec.of(model_dirs["gpt2"])
        model = algorithm(
            CausalLMPolicy,
            toy_vec_env(4),
            n_steps=12,
            gamma=1.0,
            seed=3,
            learning_rate=1e-2,
            rollout_buffer_class=buffer,
            policy_kwargs={"model": spec, "engine": engine, "optimizer_class": torch.optim.SGD, "value_lr": 1e-2},
            **options,
        )
        start = torch.cat([p.detach().flatten().clone() for p in model.policy.parameters()])
        model.learn(48)
        end = torch.cat([p.detach().flatten() for p in model.policy.parameters()])
        assert model.policy.engine == engine
        results.append((start, end))
    (start, ours), (start_too, theirs) = results
    assert torch.equal(start, start_too)
    moved = (theirs - start).norm()
    assert moved > 1e-3 and (ours - theirs).norm() < 2e-3 * moved
