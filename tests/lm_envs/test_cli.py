import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lm_envs import assets
from lm_envs.__main__ import main

ROOT = Path(__file__).parents[2]
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


def test_only_what_a_command_needs_is_imported():
    code = "import sys; from lm_envs.__main__ import main; main(['assets']); print(*sys.modules, file=sys.stderr)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120, check=True)
    assert not {"lm_envs.html", "lm_envs.play", "lm_envs.envs.customer_service", "torch", "transformers"} & set(run.stderr.split())


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
        (["play", SOUND, "--env-kwargs", "{"], "--env-kwargs '{' is not JSON"),
        (["play", SOUND, "--env-kwargs", "[1]"], "--env-kwargs takes a JSON object, got '[1]'"),
        (["transcript", SOUND], "required: --out"),
        (["transcript", SOUND, "--out", "x.html", "--player", "me"], "invalid choice: 'me'"),
        (["transcript", SOUND, "--out", "x.html", "--env-kwargs", '{"colour": 1}'], "known arguments: max_chars"),
        (["transcript", SOUND, "--out", "/dev/null/x.html"], "can't write /dev/null/x.html: "),
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


@pytest.mark.parametrize("env", ["lm_envs/CustomerService-v0", "lm_envs/DialogueTokens-v0", SOUND])
def test_transcript(env, capsys, tmp_path):
    for name, more in (("a", []), ("b", []), ("c", ["--player", "noop"])):
        arguments = ["--seed", "4", "--out", str(tmp_path / name), "--env-kwargs", '{"max_turns": 5}', *more]
        assert main(["transcript", env, *arguments]) == 0
        shown = capsys.readouterr().out
        assert shown.startswith("reward ") and shown.rstrip().endswith(str(tmp_path / name))
    pages = [(tmp_path / name).read_text() for name in "abc"]
    assert pages[0] == pages[1] != pages[2]
    assert "player <b>expert</b>" in pages[0] and "player <b>noop</b>" in pages[2] and env in pages[0]


def test_env_kwargs_and_settings(capsys, monkeypatch):
    typed(monkeypatch, "1\n2\n")
    assert main(["play", SOUND, "--env-kwargs", '{"max_turns": 7, "rounds": 9}', "--set", "max_turns=2"]) == 0
    assert lines(capsys.readouterr().out)[-1] == "The episode has ended."


def test_play_in_a_pipe_as_a_program():
    """Bytes that are no text, and a terminal that has no letters but ASCII, end nothing."""
    arguments = [sys.executable, "-m", "lm_envs", "play", "lm_envs/CustomerService-v0", "--seed", "3"]
    variables = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    given = b"caf\xc3\xa9 \xff\n/get_order 1\n/undo\n"
    run = subprocess.run(arguments, input=given, capture_output=True, cwd=ROOT, env=variables, timeout=120)
    assert run.returncode == 0 and run.stderr == b""
    assert b"Left before the end." in run.stdout and b"Taken back" in run.stdout and b"+- customer" in run.stdout


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
