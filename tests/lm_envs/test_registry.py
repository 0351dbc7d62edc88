"""Every registered id is held to the same invariants, and every token id to tokenizers of three kinds."""

import gymnasium as gym
import pytest
from gymnasium.utils.env_checker import check_env

import lm_envs
from lm_envs import assets
from lm_envs.registration import FAMILIES
from lm_envs.rewards import RewardModelError
from lm_envs.testing import check_text_env, check_token_env, check_vector
from lm_envs.tokens import TokenEnv, load_tokenizer
from tests.lm_envs.fetched import skipped_without
from tests.lm_envs.toys import CountingReward, byte_level

TEXT_IDS = [f"lm_envs/{name}-v0" for name in FAMILIES]
TOKEN_IDS = [f"lm_envs/{name}Tokens-v0" for name in FAMILIES]


def smollm2():
    with skipped_without("smollm2-135m"):
        return load_tokenizer(str(assets.path("smollm2-135m")))


def test_nothing_is_registered_but_these():
    ours = {name for name in gym.registry if name.startswith("lm_envs/")}
    choices = {f"lm_envs/{name}Acts-v0" for name in ("CustomerService", "Dialogue", "SentimentClassification")}
    assert ours == {*TEXT_IDS, *TOKEN_IDS, *choices}
    assert all(gym.spec(name).max_episode_steps is None for name in ours)


@pytest.mark.parametrize("name", TEXT_IDS)
def test_text_ids(name):
    check_text_env(name)


@pytest.mark.parametrize("name", TOKEN_IDS)
def test_token_ids(name):
    check_token_env(name)


@pytest.mark.parametrize("name", [*TEXT_IDS, *TOKEN_IDS])
def test_batched_ids(name):
    check_vector(name)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tokenizer", [smollm2, lambda: byte_level(None)], ids=["smollm2", "gpt2-style"])
def test_token_ids_with_other_tokenizers(family, tokenizer):
    vocabulary = tokenizer()

    def make(**kwargs):
        env = gym.make(f"lm_envs/{family}-v0", disable_env_checker=True, **kwargs).unwrapped
        # Bytes are many tokens: an expert's episode needs a longer context and longer replies.
        return TokenEnv(env, vocabulary, max_length=6000, max_reply_tokens=300)

    check_token_env(make)


@pytest.mark.parametrize("name", TOKEN_IDS)
def test_gymnasium_and_stable_baselines3_accept_token_ids(name):
    env_checker = pytest.importorskip("stable_baselines3.common.env_checker")
    check_env(gym.make(name).unwrapped, skip_render_check=True)
    env_checker.check_env(gym.make(name).unwrapped, warn=False)


@pytest.mark.parametrize("name", TEXT_IDS)
def test_asynchronous_vectors_work(name):
    envs = gym.make_vec(name, num_envs=2, vectorization_mode="async", vector_kwargs={"shared_memory": False})
    try:
        envs.reset(seed=0)
        observations, *_ = envs.step(("Hello!", "Hello!"))
        assert all(observation[2]["content"] == "Hello!" for observation in observations)
    finally:
        envs.close()


@pytest.mark.parametrize("name", TEXT_IDS)
def test_a_failing_reward_model_is_named_with_the_exchange(name):
    def broken(exchanges):
        raise ZeroDivisionError("oh")

    env = gym.make(name, reward=broken)
    env.reset(seed=0)
    with pytest.raises(RewardModelError, match="(?s)broken.*unmistakable reply"):
        env.step("unmistakable reply")


def test_make_does_not_copy_reward_models():
    reward = CountingReward()
    envs = gym.make_vec("lm_envs/SentimentTokens-v0", num_envs=3, reward=reward)
    assert all(env.reward_model is reward for env in envs.unwrapped.envs)


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(TypeError, match="colour.*known arguments:.*target"):
        gym.make("lm_envs/Sentiment-v0", colour="red")
    with pytest.raises(ValueError, match="'positive'"):
        gym.make("lm_envs/SentimentTokens-v0", target="angry")
    with pytest.raises(ValueError, match="known: .*vader"):
        gym.make("lm_envs/Sentiment-v0", reward="vadr")


def test_tokenize_keeps_the_wrappers_of_a_made_environment():
    env = lm_envs.tokenize(gym.make("lm_envs/Dialogue-v0"), max_length=1024)
    observation, _ = env.reset(seed=0)
    assert observation["input_ids"].shape == (1024,)
