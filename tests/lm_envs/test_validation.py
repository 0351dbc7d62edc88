import math

import numpy as np
import pytest

from lm_envs.tokens import TokenEnv
from lm_envs.validation import estimate, play, say, validate
from tests.lm_envs.toys import EchoEnv, byte_level


def test_players_play_whole_episodes():
    env = EchoEnv(max_turns=5)
    assert len(play(env, "expert", seed=1).turns) == 3
    assert play(env, "expert", seed=1).metrics == {"success": 1.0, "right": 3.0, "turns": 3.0}
    assert len(play(env, "noop", seed=1).turns) == 5
    assert play(env, "random", seed=1) == play(env, "random", seed=1) != play(env, "random", seed=2)
    with pytest.raises(ValueError, match="'expert', 'noop', 'random'"):
        play(env, "clever")


def test_token_environments_are_played_alike():
    text, tokens = EchoEnv(), TokenEnv(EchoEnv(), byte_level(), max_length=600, max_reply_tokens=20)
    for player in ("expert", "noop", "random"):
        one, other = play(text, player, seed=3), play(tokens, player, seed=3)
        assert [turn.messages for turn in other.turns] == [turn.messages for turn in one.turns]
        assert other.reward == one.reward
        assert other.metrics == {**one.metrics, "forbidden_tokens": 0.0}
    tokens.reset(seed=0)
    assert say(tokens, "x" * 99).messages[2]["content"] == "x" * 20


def test_validation_scores_each_player_on_the_same_scenarios():
    scores = validate(EchoEnv(), episodes=8, seed=5)
    assert list(scores) == ["expert", "noop", "random"]
    assert scores["expert"]["metrics.success"].mean == 1 and scores["expert"]["metrics.success"].low < 1
    assert scores["noop"]["metrics.success"] == (0, 0, pytest.approx(0.3244, abs=1e-3))
    assert scores["noop"]["reward"] == (0, 0, 0)
    assert scores == validate(EchoEnv(), episodes=8, seed=5)
    with pytest.raises(ValueError, match="episodes"):
        validate(EchoEnv(), episodes=0)


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([1] * 10, 0.7225, 1.0),  # Wilson 1927: n / (n + z²)
        ([0] * 10, 0.0, 0.2775),
        ([0, 1] * 5, 0.2366, 0.7634),
        ([0.5] * 4, 0.5, 0.5),
    ],
)
def test_intervals(values, low, high):
    assert estimate(values, proportion=values != [0.5] * 4)[1:] == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_bootstrap_intervals_cover():
    rng = np.random.default_rng(0)
    covered = [low <= 2.0 <= high for _, low, high in (estimate(rng.normal(2.0, 1.0, 40)) for _ in range(200))]
    assert 0.88 < np.mean(covered) <= 1
    mean, low, high = estimate([0.2, 0.9, 0.4])
    assert math.isclose(mean, 0.5) and 0.2 <= low < mean < high <= 0.9
