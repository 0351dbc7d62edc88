import io
import json

import pytest

from lm_envs import assets
from lm_envs.__main__ import main

SOUND, WEAK = "tests.lm_envs.test_testing:Sound", "tests.lm_envs.test_testing:WeakExpert"


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")


def lines(text):
    return [line for line in text.splitlines() if line.strip()]


def test_list(capsys):
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    assert all(f"lm_envs/{name}-v0" in shown for name in ("Sentiment", "SentimentTokens", "Dialogue", "CustomerService"))


def test_check_passes_and_fails(capsys):
    assert main(["check", SOUND]) == 0
    assert "19 of 19 checks passed" in capsys.readouterr().out
    assert main(["check", WEAK]) == 1
    shown = capsys.readouterr().out
    assert "18 of 19 checks passed" in shown
    (failed,) = [line for line in lines(shown) if "FAILED" in line]
    assert "expert_succeeds" in failed and "expected the expert's mean reward above noop's" in failed


def test_validate(capsys):
    assert main(["validate", SOUND, "--episodes", "5", "--split", "train", "--set", "rounds=2"]) == 0
    shown = lines(capsys.readouterr().out)
    assert "train split, 5 episodes" in shown[0]
    (reward,) = [line for line in shown if "│ reward" in line]
    assert "2.000 [2.000, 2.000]" in reward and reward.count("0.000 [0.000, 0.000]") == 2
    assert main(["validate", SOUND, "--episodes", "5", "--seed", "7", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["id"], result["split"], result["episodes"], result["seed"]) == (SOUND, "test", 5, 7)
    assert result["players"]["expert"]["metrics.success"]["mean"] == 1
    assert result["players"]["noop"]["metrics.success"]["high"] < 0.5


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "command"),
        (["chek"], "invalid choice: 'chek'"),
        (["check"], "required: id"),
        (["check", "Sentimnt-v0"], "did you mean lm_envs/Sentiment-v0"),
        (["play", "lm_envs/sentiment"], "did you mean lm_envs/Sentiment-v0"),
        (["check", "lm_envs/Sentiment-v9"], "did you mean lm_envs/Sentiment-v0"),
        (["check", "qqqqqq"], "no environment 'qqqqqq'; `python -m lm_envs list` shows all"),
        (["check", "CartPole-v1"], "expected a text or token environment"),
        (["check", "no_such_module:MyEnv"], "No module named 'no_such_module'"),
        (["check", "tests.lm_envs.test_testing:NoSuchEnv"], "NoSuchEnv"),
        (["check", "a b c"], "a b c"),
        (["check", ""], "''"),
        (["validate", SOUND, "--split", "dev"], "'train', 'test'"),
        (["validate", SOUND, "--episodes", "0"], "at least 1"),
        (["validate", SOUND, "--episodes", "many"], "invalid int value"),
        (["validate", SOUND, "--set", "colour"], "NAME=VALUE"),
        (["validate", SOUND, "--set", "colour=red"], "known arguments: max_chars"),
        (["validate", SOUND, "--set", "reward=no such"], "no such"),
        (["assets", "fetch"], "required: name"),
        (["assets", "fetch", "huto"], "did you mean hutto?"),
    ],
)
def test_wrong_arguments_are_one_line_and_code_2(arguments, says, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = lines(captured.err)
    assert line.startswith("lm_envs: ") and says in line


def typed(monkeypatch, text):
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_play_to_the_end(capsys, monkeypatch):
    typed(monkeypatch, "1\n" * 4)
    assert main(["play", SOUND, "--seed", "3"]) == 0
    shown = capsys.readouterr().out
    assert "system: Repeat the number." in shown and "assistant: 1" in shown and "reward +0.000" in shown
    assert lines(shown)[-1].endswith("The episode has ended.")


def test_play_leaves_at_the_end_of_input_and_refuses_what_is_too_long(capsys, monkeypatch):
    typed(monkeypatch, "x" * 5000 + "\nshort \ud800\x1b[2J\n")
    assert main(["play", SOUND, "--seed", "3"]) == 0
    shown = capsys.readouterr().out
    assert "4096 characters" in shown and "assistant: short \ufffd\\u001b[2J" in shown
    assert lines(shown)[-1] == "Left before the end."


def test_play_leaves_on_interrupt(capsys, monkeypatch):
    def interrupt(prompt):
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupt)
    assert main(["play", SOUND]) == 0
    assert lines(capsys.readouterr().out)[-1] == "Left before the end."


def test_assets(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("LM_ENVS_CACHE", str(tmp_path))
    assert main(["assets"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in assets.NAMES) and str(tmp_path) in shown
    assert main(["assets", "path", "hutto"]) == 1
    assert "hutto isn't in" in capsys.readouterr().err
    fetched = []
    monkeypatch.setattr(assets, "fetch", lambda name, progress: fetched.append(name) or tmp_path / name)
    assert main(["assets", "fetch", "hutto"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "hutto") and fetched == ["hutto"]
