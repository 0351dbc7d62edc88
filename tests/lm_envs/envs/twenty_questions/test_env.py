from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lm_envs.envs.twenty_questions import TwentyQuestionsEnv, scoring
from lm_envs.envs.twenty_questions.table import table
from lm_envs.envs.twenty_questions.understanding import understand
from lm_envs.types import SPLITS
from lm_envs.validation import play, validate
from tests.lm_envs.envs.documented import check_formula, check_metrics, check_signals


def made(thing="cat", **kwargs):
    """An environment that thinks of a known thing."""
    env = TwentyQuestionsEnv(**kwargs)
    env.reset(seed=0)
    env._thing = thing
    return env


def say(env, reply):
    messages, reward, terminated, truncated, info = env.step(reply)
    assert not truncated
    return messages[-1]["content"], reward, terminated, info["metrics"]


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("Is it alive?", ("Yes", "Right")),
        ("Isn't it alive?", ("Yes", "Right")),
        ("Is it dead?", ("No",)),
        ("Can it fly?", ("No",)),
        ("Is it something that can't fly?", ("Yes", "Right")),
        ("Is it soft?", ("Hard to say", "It depends", "Not always")),
        ("Is it a dog?", ("No",)),
    ],
)
def test_answers_are_true(reply, answer):
    said, reward, terminated, metrics = say(made(), reply)
    assert said.startswith(answer) and not terminated
    assert 0 <= reward <= 0.1 and metrics["success"] == 0 and metrics["left"] < 329


def test_the_fact_tells_how_a_question_was_understood():
    assert "it is alive" in say(made(), "Is it dead?")[0]
    assert "it doesn't fly" in say(made(), "Is it unable to fly?")[0]


@pytest.mark.parametrize(
    "reply", ["", "🙂", "Hello", "Is it alive? Can it fly?", "Is it a cat or a dog?", "is it a cat " * 9000, "\x00\u202e", "nan"]
)
def test_what_is_not_understood_costs_a_turn(reply):
    env = made(max_reply_chars=200_000, max_chars=10_000_000)
    _, reward, terminated, metrics = say(env, reply)
    assert (reward, terminated) == (0, False)
    assert (metrics["idle"], metrics["turns"], metrics["left"], metrics["questions"] + metrics["guesses"]) == (1, 1, 329, 0)


def test_asking_again_is_idle():
    env = made()
    assert say(env, "Is it alive?")[1] > 0
    _, reward, _, metrics = say(env, "Is it a living thing?")
    assert reward == 0 and metrics["idle"] == 1


@pytest.mark.parametrize(("idle", "found"), [(0, 1), (8, 1), (9, 1 - 0.5 / 11), (19, 0.5)])
def test_the_reward_of_the_right_guess(idle, found):
    env = made()
    for _ in range(idle):
        say(env, "")
    said, reward, terminated, metrics = say(env, "It's a kitten.")
    assert terminated and metrics["success"] == 1 and metrics["left"] == 1 and metrics["information"] == 1
    assert reward == pytest.approx(0.9 * found + 0.1)
    assert "cat" not in said


def test_the_thing_is_not_told_at_the_end():
    env = made(max_turns=2)
    say(env, "")
    said, reward, terminated, metrics = say(env, "Is it a dog?")
    assert terminated and reward < 0.001 and metrics["success"] == 0
    assert said.endswith("That was your last question.") and "cat" not in said


def test_short_games():
    env = made(max_turns=1)
    assert say(env, "cat")[1] == pytest.approx(1)


def test_information_sums_to_one():
    env = made(reward=scoring.Signals({"information": 1.0}))
    total, over = 0.0, False
    while not over:
        _, reward, over, metrics = say(env, env.expert_reply())
        total += reward
        assert total == pytest.approx(metrics["information"])
    assert total == pytest.approx(1)


def test_no_options():
    with pytest.raises(ValueError, match="takes no options; got 'thing'"):
        TwentyQuestionsEnv().reset(options={"thing": "cat"})


def test_things_are_of_the_split():
    for split in SPLITS:
        env = TwentyQuestionsEnv(split=split)
        drawn = set()
        for seed in range(300):
            env.reset(seed=seed)
            drawn.add(table().things.index(env._thing))
        assert drawn <= set(table().splits[split]) and len(drawn) > 90


def test_random_replies_are_of_every_kind():
    env, rng = TwentyQuestionsEnv(), np.random.default_rng(0)
    kinds = Counter(understand(env.random_reply(rng)).kind for _ in range(300))
    assert set(kinds) == {"question", "guess", "nothing"} and min(kinds.values()) > 60


def test_documented_metrics_and_signals_are_the_returned_ones():
    check_metrics(TwentyQuestionsEnv)
    check_signals(TwentyQuestionsEnv, scoring.reward.weights)
    check_formula(TwentyQuestionsEnv, scoring.reward.weights)


@pytest.mark.parametrize("split", SPLITS)
def test_players_score_as_published(split):
    scores = validate(TwentyQuestionsEnv(split=split), episodes=150)
    assert scores["expert"]["reward"].low == pytest.approx(1)
    assert scores["expert"]["metrics.turns"].mean == pytest.approx(6.55, abs=0.25)
    assert scores["random"]["reward"].mean == pytest.approx(0.06, abs=0.04)
    assert scores["noop"]["reward"].high == 0


def test_the_expert_does_not_know_the_thing():
    first, second = made("cat"), made("bridge")
    assert first.expert_reply() == second.expert_reply()
    for _ in range(3):  # told the same, it says the same
        first._thing = second._thing = "violin"
        reply = first.expert_reply()
        assert second.expert_reply() == reply
        say(first, reply), say(second, reply)


def test_it_plays_every_thing():
    env = TwentyQuestionsEnv()
    for seed in range(5):
        assert play(env, "expert", seed=seed).reward == pytest.approx(1)


def test_the_game_in_the_docs_is_current():
    env = TwentyQuestionsEnv(split="test", render_mode="ansi")
    play(env, "expert", seed=1)
    assert env.render().strip() in (Path(__file__).parents[4] / "docs" / "games.md").read_text(encoding="utf-8")
