import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import lm_envs  # noqa: F401
from lm_envs import assets
from lm_envs.envs.sentiment_classification import features
from tests.lm_envs.fetched import skipped_without

ID = "lm_envs/SentimentClassificationActs-v0"


def make(**arguments):
    return gym.make(ID, disable_env_checker=True, **arguments).unwrapped


@pytest.mark.parametrize("arguments", [{}, {"pieces": 3}, {"labels": 2, "domain": "film"}])
def test_gymnasium_and_stable_baselines3_accept_it(arguments):
    check_env(make(**arguments), skip_render_check=True)
    pytest.importorskip("stable_baselines3.common.env_checker").check_env(make(**arguments), warn=False)


def test_it_is_the_text_level_with_vectors():
    env, text = make(pieces=3, split="test"), gym.make("lm_envs/SentimentClassification-v0", pieces=3, split="test").unwrapped
    rng = np.random.default_rng(0)
    for seed in range(50):
        observation, info = env.reset(seed=seed)
        _, expected = text.reset(seed=seed)
        over = False
        while not over:
            assert observation in env.observation_space and observation[-1] == np.float32(info["metrics"]["read"])
            np.testing.assert_array_equal(observation[:-1], features.by_words(text.shown))
            assert info["scenario"] == expected["scenario"] and info["metrics"] == expected["metrics"]
            assert info["action_mask"].tolist() == [1, 1, 1, int(text.can_read_on)] and info["action_mask"].dtype == np.int8
            action = int(rng.choice([0, 1, 2, 3, 3, 3]))
            observation, reward, terminated, truncated, info = env.step(action)
            _, plain, *ends, expected = text.step(env.choices[action])
            assert reward == plain and [terminated, truncated] == ends and info["rewards"] == expected["rewards"]
            over = terminated
        assert env.action_masks().dtype == np.bool_


def test_the_expert_is_right_and_constants_are_not():
    env = make()
    earned = {"expert": [], 0: [], 1: [], 2: []}
    for player, rewards in earned.items():
        for seed in range(600):
            env.reset(seed=seed)
            rewards.append(env.step(env.expert_action() if player == "expert" else player)[1])
    assert set(earned["expert"]) == {1.0}
    assert all(abs(np.mean(earned[action])) < 0.13 for action in range(3))


def test_copies_go_on_alike_and_actions_are_checked():
    env = make(pieces=2)
    with pytest.raises(gym.error.ResetNeeded):
        env.step(0)
    env.reset(seed=1)
    twin = pickle.loads(pickle.dumps(env))
    for action in (3, 1):
        np.testing.assert_equal(twin.step(action), env.step(action))
    with pytest.raises(gym.error.InvalidAction, match="from 0 to 3; got 4"):
        env.step(4)
    with pytest.raises(ValueError, match="features must be one of 'words', 'minilm'"):
        make(features="bert")


def test_vectors_by_words_tell_texts_apart_and_are_bounded():
    one, other = features.by_words("It was not good."), features.by_words("It was good.")
    assert one.shape == (features.BUCKETS + 3,) and one.dtype == np.float32 and not np.array_equal(one, other)
    assert one[features.BUCKETS] < 0 < other[features.BUCKETS]
    for text in ("", "🙂", "good " * 5000, "a\x00b"):
        vector = features.by_words(text)
        assert np.isfinite(vector).all() and np.abs(vector).max() <= 1


@pytest.mark.network
def test_sentence_embeddings():
    pytest.importorskip("torch")
    with skipped_without("minilm"):
        assets.path("minilm")
    env = make(features="minilm", pieces=2)
    check_env(env, skip_render_check=True)
    observation, _ = env.reset(seed=0)
    assert observation.shape == (385,) and np.linalg.norm(observation[:-1]) == pytest.approx(1, abs=1e-5)
