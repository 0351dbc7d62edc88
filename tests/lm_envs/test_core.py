import copy
import pickle

import gymnasium as gym
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st

from lm_envs.spaces import Conversation, TokenSpace, Utterance, well_formed
from tests.lm_envs.toys import EchoEnv, length_reward, plain_data


def play(env, replies=None, seed=None):
    """An episode by the expert, or with given replies: conversations, rewards, ends."""
    steps = [env.reset(seed=seed)[0]]
    while True:
        reply = env.expert_reply() if replies is None else replies.pop(0)
        steps.append(env.step(reply))
        if steps[-1][2] or steps[-1][3]:
            return steps


def test_an_expert_episode():
    env = EchoEnv()
    *_, (messages, reward, terminated, truncated, info) = play(env, seed=3)
    assert (terminated, truncated) == (True, False)
    assert reward == pytest.approx(len(messages[-1]["content"]) / 100)
    assert info["metrics"] == {"success": 1.0, "right": 3.0, "turns": 3.0}
    assert set(info) == {"scenario", "metrics", "rewards"}
    assert sum(info["rewards"].values()) == pytest.approx(reward)
    assert [message["role"] for message in messages[:5]] == ["system", "user", "assistant", "tool", "user"]


def test_running_out_of_turns_is_a_failure_and_no_truncation():
    env = EchoEnv(max_turns=2)
    *_, (_, _, terminated, truncated, info) = play(env, ["no", "no"], seed=0)
    assert (terminated, truncated, info["metrics"]["success"]) == (True, False, 0.0)


def test_a_full_context_truncates_and_stays_in_the_space():
    env = EchoEnv(max_turns=99, max_reply_chars=60, max_chars=200)
    *_, (messages, _, terminated, truncated, _) = play(env, ["x" * 60] * 9, seed=0)
    assert (terminated, truncated) == (False, True)
    assert env.observation_space.contains(messages)


def test_an_opening_without_room_says_so():
    with pytest.raises(ValueError, match="leaves 10"):
        EchoEnv(max_reply_chars=10, max_chars=20).reset(seed=0)


def test_gymnasium_checks_it(recwarn):
    check_env(EchoEnv(), skip_render_check=True)
    assert not [str(w.message) for w in recwarn if "spec" not in str(w.message)]


def test_seeds_decide_everything_and_environments_share_nothing():
    first, other, second = EchoEnv(), EchoEnv(split="test"), EchoEnv()
    one = play(first, seed=5)
    play(other, seed=1)
    assert play(second, seed=5) == one
    assert play(second) == play(first)
    assert play(first, seed=6) != one


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"colour": 1}, TypeError, "known arguments: max_chars, .*rounds.*split"),
        ({"split": "dev"}, ValueError, "'train', 'test'"),
        ({"max_turns": 0}, ValueError, "at least 1"),
        ({"max_turns": True}, ValueError, "at least 1"),
        ({"max_chars": 10}, ValueError, "max_chars"),
        ({"render_mode": "rgb_array"}, ValueError, "'ansi', 'human'"),
        ({"reward": "no such"}, ValueError, "no such"),
    ],
)
def test_wrong_arguments_name_the_choices(arguments, error, says):
    with pytest.raises(error, match=says):
        EchoEnv(**arguments)


def test_wrong_actions():
    env = EchoEnv(max_reply_chars=100)
    with pytest.raises(gym.error.ResetNeeded):
        env.step("hi")
    env.reset(seed=0)
    for action, says in ((7, "got int"), (None, "NoneType"), ("x" * 101, "101")):
        with pytest.raises(gym.error.InvalidAction, match=says):
            env.step(action)
    play(env, seed=0)
    with pytest.raises(gym.error.ResetNeeded):
        env.step("hi")


def test_advance_and_settle_alternate():
    env = EchoEnv()
    env.reset(seed=0)
    env.advance("a")
    with pytest.raises(gym.error.ResetNeeded):
        env.advance("b")


def test_states_come_back_exactly():
    env = EchoEnv(rounds=4)
    env.reset(seed=2)
    env.step("wrong \ud800")
    env.step(env.expert_reply())
    state = plain_data(env.get_state())
    copied = EchoEnv(rounds=4)
    copied.set_state(state)
    assert copied.messages == env.messages
    for _ in range(3):
        assert copied.step(copied.expert_reply()) == env.step(env.expert_reply())
    assert copied.reset() == env.reset()


def test_copies_and_pickles_go_on_alike():
    env = EchoEnv(reward=length_reward)
    env.reset(seed=2)
    for twin in (copy.deepcopy(env), pickle.loads(pickle.dumps(env))):
        expected = copy.deepcopy(env)
        assert twin.step("4") == expected.step("4")


def test_rendering(capsys):
    env = EchoEnv(render_mode="ansi")
    play(env, seed=0)
    shown = env.render()
    assert "system: Repeat the number." in shown and "tool judge: True" in shown and "reward +0.0" in shown and "success 1" in shown
    play(EchoEnv(render_mode="human"), seed=0)
    printed = capsys.readouterr().out
    assert "assistant: " in printed and "reward" in printed and "success 1" in printed
    assert EchoEnv().render() is None


@given(st.text(st.characters(), max_size=60))
def test_any_text_is_a_reply(text):
    env = EchoEnv(render_mode="ansi")
    env.reset(seed=0)
    messages, *_ = env.step(text)
    assert env.observation_space.contains(messages)
    assert messages[2]["content"] == well_formed(text)
    messages[2]["content"].encode("utf-8")
    assert "\x1b" not in env.render()


def test_spaces():
    assert (
        Utterance(5).contains("")
        and Utterance(5).contains("😀" * 5)
        and not Utterance(5).contains("x" * 6)
        and not Utterance().contains(b"x")
    )
    assert well_formed("a\ud83d\ude00\ud800") == "a😀\ufffd"
    space = Conversation(10)
    assert space.contains(({"role": "user", "content": "hello"},))
    assert not space.contains([{"role": "user", "content": "hello"}])
    assert not space.contains(({"role": "boss", "content": "hello"},))
    assert not space.contains(({"role": "tool", "content": "hello"},))
    assert not space.contains(({"role": "user", "content": "hello world"},))
    for space in (Utterance(20), Conversation(64)):
        space.seed(1)
        sample = space.sample()
        assert space.contains(sample) and pickle.loads(pickle.dumps(space)) == space
        assert space.from_jsonable(plain_data(space.to_jsonable([sample]))) == [sample]
        space.seed(1)
        assert space.sample() == sample
        with pytest.raises(ValueError):
            space.sample(mask=1)


def test_token_space():
    space = TokenSpace(5, [3, 1, 3], seed=0)
    assert space.forbidden.tolist() == [1, 3]
    assert {int(space.sample()) for _ in range(60)} == {0, 2, 4}
    assert space.contains(3) and not space.contains(5)
    assert pickle.loads(pickle.dumps(space)) == space != TokenSpace(5, [1])
    for wrong in ([5], [-1], range(5)):
        with pytest.raises(ValueError):
            TokenSpace(5, wrong)
