"""Playing with typed lines, as from a pipe; the command line's own tests are in test_cli.py."""

import io

import pytest

from lm_envs import play as playing
from lm_envs.play import play
from tests.lm_envs.toys import EchoEnv


def played(env, *lines, seed=3, name="tests/Echo-v0"):
    """Play with these lines; the end of input afterwards."""
    given = iter(lines)

    def read(prompt):
        assert prompt == ""  # in a pipe nobody reads one
        try:
            return next(given)
        except StopIteration:
            raise EOFError from None

    play(env, name=name, seed=seed, read=read)


@pytest.fixture(autouse=True)
def pipe(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("sys.stdin", io.StringIO())


def test_undo_comes_back_to_the_same_point(capsys):
    env = EchoEnv(rounds=9)
    played(env, "one", "two")
    expected, state = env.messages, env.get_state()
    capsys.readouterr()
    played(env, "one", "wrong", "/undo", "two", "/u")
    assert env.messages == expected[: len(env.messages)] and env.turn == 1
    assert "Taken back: wrong" in capsys.readouterr().out
    played(env, "one", "wrong", "/undo", "two")
    assert (env.messages, env.get_state()) == (expected, state)


def test_after_the_end(capsys):
    env = EchoEnv(max_turns=2)
    played(env, "a", "b", "c", "", "/hint", "/undo", "/undo", "/undo", "c")
    shown = capsys.readouterr().out
    assert shown.count("The episode has ended.") == 1
    assert shown.count("the episode has ended") == 2  # a reply and a hint
    assert "there is nothing to undo" in shown and env.turn == 1
    assert shown.rstrip().endswith("Left before the end.")


def test_hints_change_nothing(capsys):
    env = EchoEnv()
    played(env, "/hint", "/hint")
    number = env.expert_reply()
    assert capsys.readouterr().out.count(f"the expert: {number}") == 2 and env.turn == 0


def test_commands_can_be_shortened_and_are_explained(capsys):
    env = EchoEnv()
    played(env, "/h", "/hel", "/helo", "/zzzz", "/", "//h", "/q", "never read")
    shown = capsys.readouterr().out
    assert "no command /h; did you mean /help or /hint?" in shown
    assert "/save FILE.html" in shown
    assert "no command /helo; did you mean /help?" in shown and "no command /zzzz; /help lists them" in shown
    assert [m["content"] for m in env.messages if m["role"] == "assistant"] == ["/h"]


def test_save_writes_what_stands(tmp_path, capsys):
    path = tmp_path / "page.html"
    played(EchoEnv(), "first <reply>", "taken back", "/undo", f"/save {path}", "/save", "/save /dev/null/x.html", "/save a\0b")
    shown = capsys.readouterr().out
    assert f"saved: {path}" in shown and "needs a file's name" in shown and "can't write /dev/null/x.html: " in shown
    assert "can't write a\\u0000b" in shown
    page = path.read_text()
    assert "first &lt;reply&gt;" in page and "taken back" not in page and "Left before the end." in page and "tests/Echo-v0" in page


def test_rewards_show_components_that_are_not_zero(capsys):
    played(EchoEnv(reward="repetition"), "word word word word word word")
    assert "reward -" in capsys.readouterr().out


def test_what_is_untrusted_is_escaped(capsys):
    played(EchoEnv(), "\x1b[2J\u202e", "/\x1b[2J", "/undo")
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "\u202e" not in shown
    assert shown.count("\\u001b[2J") >= 3


def test_a_viewer_serves_subclasses(monkeypatch, capsys):
    class Sub(EchoEnv):
        pass

    class Viewer:
        commands = {"say": "/say WORD"}

        def __init__(self, env):
            self.env = env

        def panels(self):
            return ["a panel", "another"]

        def reply(self, command, rest):
            if not rest:
                raise playing.CommandError("say what?")
            return f"said {rest}"

        def shown(self, message):
            return {**message, "content": f"<{message['content']}>"}

    monkeypatch.setitem(playing.VIEWERS, f"{EchoEnv.__module__}:EchoEnv", "tests.lm_envs.test_play:VIEWER")
    monkeypatch.setitem(globals(), "VIEWER", Viewer)
    env = Sub()
    played(env, "/say", "/say it", "/help")
    shown = capsys.readouterr().out
    assert "say what?" in shown and "assistant: <said it>" in shown and "/say WORD" in shown
    assert shown.count("a panel") == 2 and env.messages[2]["content"] == "said it"
