import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from agents.algorithms import make
from agents.evaluation import Estimate, Sampling, bootstrap, evaluate, kl_from, policy_for, ratio, surprise
from lm_envs.tokens import TokenEnv
from lm_envs.vector import TokenVectorEnv
from tests.agents.tasks import EarlyEnv, early_env, save_small_model
from tests.lm_envs.toys import byte_level


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.set_num_threads(1)
    return save_small_model(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def policy(folder):
    return policy_for(early_env(4), folder)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return policy_for(early_env(4), save_small_model(tmp_path_factory.mktemp("models") / "other", seed=5))


# Sampling


def drawn(sampling, probabilities, n=4000):
    logits = torch.log(torch.tensor(probabilities)).expand(n, -1)
    actions = sampling.choose(logits, torch.Generator().manual_seed(0))
    return np.bincount(actions.numpy(), minlength=len(probabilities)) / n


@pytest.mark.parametrize(
    ("sampling", "probabilities", "expected"),
    [
        (Sampling(), [0.5, 0.3, 0.2], [0.5, 0.3, 0.2]),
        (Sampling(temperature=0), [0.2, 0.5, 0.3], [0, 1, 0]),
        (Sampling(temperature=0.5), [0.5, 0.3, 0.2], [25 / 38, 9 / 38, 4 / 38]),
        (Sampling(top_k=2), [0.2, 0.5, 0.3], [0, 0.625, 0.375]),
        (Sampling(top_k=9), [0.5, 0.3, 0.2], [0.5, 0.3, 0.2]),
        (Sampling(top_p=0.6), [0.2, 0.5, 0.3], [0, 0.625, 0.375]),
        (Sampling(top_p=0.5), [0.2, 0.5, 0.3], [0, 1, 0]),
        (Sampling(top_p=1e-9), [0.2, 0.3, 0.5], [0, 0, 1]),
    ],
)
def test_choices(sampling, probabilities, expected):
    frequencies = drawn(sampling, probabilities)
    assert np.abs(frequencies - expected).max() < 0.035
    assert (frequencies[np.array(expected) == 0] == 0).all()


@pytest.mark.parametrize("arguments", [{"temperature": -1}, {"temperature": float("nan")}, {"top_k": -1}, {"top_p": 0}, {"top_p": 1.1}])
def test_bad_sampling_is_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Sampling(**arguments)


# bootstrap


def test_bootstrap_covers_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    intervals = [bootstrap(rng.exponential(size=60), rng, resamples=300) for _ in range(200)]
    covered = np.mean([e.low <= 1 <= e.high for e in intervals])
    assert 0.87 <= covered <= 0.99
    assert bootstrap([3.0] * 5, rng) == Estimate(3.0, 3.0, 3.0)
    with pytest.raises(ValueError, match="no values"):
        bootstrap([], rng)


# evaluate


@pytest.mark.parametrize(("rows", "episodes"), [(4, 4), (4, 10), (6, 3)])
def test_each_episode_opens_with_its_seed(policy, rows, episodes):
    result = evaluate(policy, early_env(rows, turns=2), episodes, seed=100)
    assert [episode.seed for episode in result.episodes] == list(range(100, 100 + episodes))
    for episode in result.episodes:
        env = EarlyEnv()
        env.reset(seed=episode.seed)
        assert episode.scenario == env._scenario["id"]


def test_policies_meet_the_same_scenarios(policy, other):
    first, second = (evaluate(p, early_env(4, turns=2), 12) for p in (policy, other))
    assert [e.prompt for e in first.episodes] == [e.prompt for e in second.episodes]
    assert [e.replies for e in first.episodes] != [e.replies for e in second.episodes]


def test_what_is_recorded_is_what_happened(policy):
    """Each episode played again by its tokens gives the same reward, metrics and replies."""
    tokenizer = byte_level()
    for episode in evaluate(policy, early_env(4, turns=3), 9).episodes:
        env = TokenEnv(EarlyEnv(max_turns=3), tokenizer, max_length=64, max_reply_tokens=8)
        observation, _ = env.reset(seed=episode.seed)
        total, ended = 0.0, False
        for position in episode.positions:
            assert not ended and observation["attention_mask"].sum() == position
            observation, reward, terminated, truncated, info = env.step(int(episode.ids[position]))
            total, ended = total + reward, terminated or truncated
        assert ended
        assert total == pytest.approx(episode.reward) and info["metrics"] == episode.metrics
        said = [m["content"] for m in env.env.messages if m["role"] == "assistant"]
        assert list(episode.replies) == said
        assert sum(episode.rewards.values()) == pytest.approx(episode.reward)


def test_means_are_those_of_the_episodes(policy):
    result = evaluate(policy, early_env(4), 20)
    assert result.reward.mean == pytest.approx(np.mean([e.reward for e in result.episodes]))
    assert result.metrics["early"].mean == pytest.approx(np.mean([e.metrics["early"] for e in result.episodes]))
    assert result.metrics["early"].low <= result.metrics["early"].mean <= result.metrics["early"].high
    plain = result.to_json()
    assert plain["episodes"][3]["tokens"] == len(result.episodes[3].positions) and "ids" not in plain["episodes"][3]


def test_evaluation_leaves_generators_and_training_alone(folder):
    algo, untouched = (make("ppo", early_env(4), model=folder, seed=0, n_steps=8) for _ in range(2))
    torch.manual_seed(3), np.random.seed(3)
    untouched.learn(64)
    torch.manual_seed(3), np.random.seed(3)
    algo.learn(32)
    evaluate(algo, early_env(4), 5)
    assert algo.policy.training
    algo.learn(32, reset_num_timesteps=False)
    for ours, theirs in zip(algo.policy.parameters(), untouched.policy.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_sampling_is_repeatable_and_seeded(policy):
    replies = [[e.replies for e in evaluate(policy, early_env(4), 6, seed=seed).episodes] for seed in (0, 0, 1)]
    assert replies[0] == replies[1] != replies[2]


def test_greedy_is_the_policys_prediction(policy):
    episode = evaluate(policy, early_env(2), 1, sampling=Sampling(temperature=0)).episodes[0]
    position = int(episode.positions[0])
    ids = np.zeros(64, dtype=np.int64)
    ids[:position] = episode.ids[:position]
    observation = {"input_ids": ids, "attention_mask": (np.arange(64) < position).astype(np.int8)}
    assert policy.predict(observation, deterministic=True)[0] == episode.ids[position]


def test_mistakes_are_explained(policy):
    with pytest.raises(ValueError, match="SAME_STEP"):
        evaluate(policy, TokenVectorEnv([EarlyEnv()], byte_level(), autoreset_mode=AutoresetMode.NEXT_STEP), 1)
    with pytest.raises(ValueError, match="episodes must be at least 1"):
        evaluate(policy, early_env(2), 0)


# kl_from


def by_hand(policy, reference, episodes):
    """Full passes over single rows, and sums written out."""
    sums = []
    for episode in episodes:
        with torch.no_grad():
            logits = [p.model(torch.from_numpy(episode.ids)[None]).logits[0, episode.positions - 1].double() for p in (policy, reference)]
        for table in logits:
            table /= policy.temperature
            table[:, policy.forbidden] = -torch.inf
        log_p, log_q = (torch.log_softmax(table, dim=-1) for table in logits)
        allowed = ~policy.forbidden
        sums.append(float((log_p.exp() * (log_p - log_q))[:, allowed].sum()))
    return np.array(sums)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_kl_is_that_of_whole_distributions(folder, other, temperature):
    policy = policy_for(early_env(4), folder, temperature=temperature)
    episodes = evaluate(policy, early_env(4, turns=2), 10).episodes
    divergence = kl_from(policy, other, episodes)
    expected = by_hand(policy, other, episodes)
    assert divergence.per_episode.mean == pytest.approx(expected.mean(), rel=1e-4)
    assert divergence.per_token.mean == pytest.approx(expected.sum() / sum(len(e.positions) for e in episodes), rel=1e-4)
    assert divergence.per_token.low < divergence.per_token.mean < divergence.per_token.high
    assert kl_from(policy, policy, episodes).per_episode.mean == pytest.approx(0, abs=1e-7)


def test_sampled_kl_estimates_the_same(policy, other):
    divergence = kl_from(policy, other, evaluate(policy, early_env(16), 300).episodes)
    assert divergence.sampled.low < divergence.per_episode.mean < divergence.sampled.high
    assert divergence.sampled.high - divergence.sampled.low > divergence.per_episode.high - divergence.per_episode.low


def test_a_lora_policy_is_its_own_reference(folder, policy):
    pytest.importorskip("peft")
    algo = make("ppo", early_env(4), model=folder, lora={"r": 2}, learning_rate=0.1, seed=0, n_steps=8).learn(96)
    episodes = evaluate(algo, early_env(4), 6).episodes
    inside, outside = kl_from(algo.policy, None, episodes), kl_from(algo.policy, policy, episodes)
    assert inside.per_token.mean == pytest.approx(outside.per_token.mean, rel=1e-4) and inside.per_token.mean > 0.01
    with pytest.raises(ValueError, match="no adapter"):
        kl_from(policy, None, episodes)


# surprise


def test_surprise_is_that_of_full_passes(folder, policy, other):
    episodes = evaluate(policy, early_env(4, turns=2), 6).episodes
    found = surprise(other, episodes)
    for episode, nats in zip(episodes, found, strict=True):
        with torch.no_grad():
            logits = other.model(torch.from_numpy(episode.ids)[None]).logits[0, episode.positions - 1].double()
        logits[:, other.forbidden] = -torch.inf
        written = torch.log_softmax(logits, dim=-1).gather(1, torch.from_numpy(episode.ids[episode.positions])[:, None])
        assert nats == pytest.approx(-float(written.sum()), rel=1e-4)
    assert surprise(policy, episodes).sum() < found.sum()  # each is less surprised by its own
    assert surprise(policy, []).tolist() == []


def test_ratios_weigh_by_counts():
    found = ratio(np.array([2.0, 30.0]), np.array([1, 9]), np.random.default_rng(0))
    assert found.mean == pytest.approx(3.2) and found.low == pytest.approx(2.0) and found.high == pytest.approx(30 / 9)
