import csv
import io
import json
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from agents import checkpoint, cli
from agents.chat import Conversation, talk
from agents.cli import main
from agents.evaluation import Sampling
from agents.tracking import History, run_logger
from tests.agents.tasks import save_small_model

ENV = ["--env", "tests/EarlyTokens-v0", "--env-kwargs", '{"max_turns": 2}']
SENTIMENT = ["--env", "lm_envs/SentimentTokens-v0", "--env-kwargs", '{"target": "positive", "max_length": 200, "max_reply_tokens": 6}']


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_small_model(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setenv("COLUMNS", "160")


def train(folder, out, *more):
    return main(
        ["train", *ENV, "--model", str(folder), "--n-envs", "4", "--n-steps", "12", "--eval-episodes", "6", "--out", str(out), *more]
    )


def weights(run):
    return (checkpoint.find(run / "checkpoint") / "model.safetensors").read_bytes()


# train


@pytest.mark.parametrize("algo", ["ppo", "a2c", "trpo"])
def test_train_leaves_a_whole_run(folder, tmp_path, capsys, algo):
    out = tmp_path / "run"
    assert train(folder, out, "--algo", algo, "--total-tokens", "144", "--tracker", "tensorboard") == 0
    shown = capsys.readouterr().out
    for text in ("training: reward", "test: early", "KL from the start", "tokens/s", f"run: {out}"):
        assert text in shown
    assert shown.count("before reward") == shown.count("after reward") == 3
    summary = json.loads((out / "summary.json").read_text())
    assert summary["tokens"] == 144 and summary["tokens_per_second"] > 0
    assert len(summary["before"]["episodes"]) == len(summary["after"]["episodes"]) == 6
    assert [e["prompt"] for e in summary["before"]["episodes"]] == [e["prompt"] for e in summary["after"]["episodes"]]
    assert summary["before"]["episodes"][0]["scenario"].startswith("test/")
    assert summary["kl"]["per_token"]["mean"] > 0
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [48, 96, 144]
    assert "reward/early" in rows[0] and "train/value_loss" in rows[1]
    assert {"rollout/reward", "metrics/early", "reward/early"} <= set(rows[2])
    with (out / "metrics.csv").open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [48, 96, 144]
    assert list(out.glob("events.out.tfevents.*"))
    assert checkpoint.load(out / "checkpoint").num_timesteps == 144


def test_a_resumed_command_ends_where_an_uninterrupted_one_does(folder, tmp_path, capsys, monkeypatch):
    options = ("--checkpoint-every", "1", "--tracker", "none", "--eval-episodes", "0")
    assert train(folder, tmp_path / "whole", "--total-tokens", "144", *options) == 0
    original, calls = checkpoint.save, []

    def interrupted(*args, **kwargs):
        original(*args, **kwargs)
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", interrupted)
    assert train(folder, tmp_path / "halted", "--total-tokens", "144", *options) == 2
    assert f"go on with --resume {tmp_path / 'halted'}" in capsys.readouterr().err
    assert main(["train", "--resume", str(tmp_path / "halted")]) == 0
    assert weights(tmp_path / "halted") == weights(tmp_path / "whole")
    steps = [json.loads(line)["step"] for line in (tmp_path / "halted" / "metrics.jsonl").read_text().splitlines()]
    assert steps == [48, 96, 144]
    assert main(["train", "--resume", str(tmp_path / "halted")]) == 2
    assert "has 144 tokens already; ask for more with --total-tokens" in capsys.readouterr().err
    assert main(["train", "--resume", str(tmp_path / "halted"), "--total-tokens", "192"]) == 0


@pytest.mark.filterwarnings("ignore:no KL divergence from the start")
def test_a_run_goes_on_without_the_folder_it_began_from(folder, tmp_path, capsys):
    source = shutil.copytree(folder, tmp_path / "source")
    assert train(source, tmp_path / "run", "--total-tokens", "48", "--tracker", "none") == 0
    shutil.rmtree(source)
    assert main(["train", "--resume", str(tmp_path / "run"), "--total-tokens", "96"]) == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["tokens"] == 96 and summary["before"] and summary["after"] and summary["kl"] is None


def test_train_with_adapters_and_further_arguments(folder, tmp_path, capsys):
    pytest.importorskip("peft")
    more = (
        "--lora",
        "--checkpointing",
        "--set",
        '{"n_epochs": 1, "batch_size": 48}',
        "--lr",
        "0.05",
        "--total-tokens",
        "96",
        "--tracker",
        "none",
    )
    assert train(folder, tmp_path / "run", *more) == 0
    algo = checkpoint.load(tmp_path / "run" / "checkpoint")
    assert (algo.n_epochs, algo.batch_size, algo.learning_rate, algo.policy.spec.lora) == (1, 48, 0.05, {})
    assert algo.policy.checkpointing
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["kl"]["per_token"]["mean"] > 0


def test_runs_get_folders_of_their_own(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        options = ["--total-tokens", "16", "--n-envs", "2", "--n-steps", "8", "--eval-episodes", "0", "--tracker", "none"]
        assert main(["train", *ENV, "--model", str(folder), *options]) == 0
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == [
        "ppo-EarlyTokens-v0-small-seed0",
        "ppo-EarlyTokens-v0-small-seed0-2",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--algo", "trpo", "--total-tokens", "0"], "--total-tokens must be at least 1, got 0"),
        (["--env", "lm_envs/Sentiment-v0"], "agents that write tokens need lm_envs/SentimentTokens-v0"),
        (["--env", "lm_envs/Nowhere-v0"], "Nowhere"),
        ([*SENTIMENT[:2], "--env-kwargs", '{"colour": 1}'], "has no argument 'colour'; known arguments:"),
        ([*SENTIMENT, "--set", '{"n_epoch": 1}'], "no argument 'n_epoch'"),
        (["--model", "no/such/model"], "no causal LM at 'no/such/model'"),
        ([*ENV[:2], "--env-kwargs", '{"max_length": 100000}'], "the model's context"),
        ([*ENV[:2], "--env-kwargs", '{"max_length": 8}'], "leaves no room for a reply"),
        (["--lr", "0.1", "--resume", "nowhere"], "a resumed run keeps its arguments; "),
        (["--device", "cuda:99"], "cuda:99"),
    ],
)
def test_mistakes_get_one_line(folder, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    base = ["--model", str(folder), "--tracker", "none", "--n-envs", "2", "--n-steps", "4", "--total-tokens", "8", "--eval-episodes", "2"]
    assert main(["train", *base, *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and message in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--algo", "dqn"], "'trpo'"),
        (["--env-kwargs", "{"], "is not JSON"),
        (["--set", "[1]"], "expected an object"),
        (["--lr", "fast"], "fast"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_what_cannot_be_parsed_is_refused(capsys, arguments, message):
    with pytest.raises(SystemExit, match="2"):
        main(["train", *arguments])
    error = capsys.readouterr().err
    assert "error: " in error and message in error


def test_a_run_is_not_overwritten(folder, tmp_path, capsys):
    (tmp_path / "notes").write_text("")
    assert train(folder, tmp_path) == 2
    assert "is not empty; choose another folder, or go on with that run: --resume" in capsys.readouterr().err
    assert main(["train", "--resume", str(tmp_path)]) == 2
    assert "holds no run with a checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize("tracker", ["wandb", "mlflow"])
def test_a_missing_tracker_is_one_line(folder, tmp_path, capsys, monkeypatch, tracker):
    monkeypatch.setitem(sys.modules, tracker, None)
    assert train(folder, tmp_path / "run", "--tracker", tracker) == 2
    assert capsys.readouterr().err == f'error: --tracker {tracker} needs a package that is not installed: pip install "lm-envs[trackers]"\n'


def test_trackers_get_every_row(tmp_path, monkeypatch):
    class Run:
        rows, done = [], False

        def log(self, row, step):
            self.rows.append((step, row))

        def finish(self):
            self.done = True

    run = Run()
    monkeypatch.setitem(sys.modules, "wandb", type("wandb", (), {"init": staticmethod(lambda **_: run)}))
    logger, _ = run_logger(tmp_path, "wandb", {"lr": 1})
    logger.record("train/loss", np.float32(0.5))
    logger.record("text", "not a number")
    logger.record("bad", float("nan"))
    logger.dump(step=7)
    logger.close()
    assert run.rows == [(7, {"train/loss": 0.5})] and run.done


def test_history_drops_rows_after_the_checkpoint(tmp_path):
    history = History(tmp_path)
    for step in (1, 2, 3):
        history.write({"x": step}, {}, step)
    (tmp_path / "metrics.jsonl").open("a").write('{"step": 4, "x"')  # cut by a kill
    again = History(tmp_path, from_step=2)
    again.write({"x": 30, "y": 1}, {}, 3)
    again.close()
    assert [json.loads(line)["x"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [1, 2, 30]
    assert (tmp_path / "metrics.csv").read_text().split() == ["step,x,y", "1,1.0,", "2,2.0,", "3,30.0,1.0"]


# evaluate


def test_evaluate_a_model_and_a_run(folder, tmp_path, capsys):
    train(folder, tmp_path / "run", "--total-tokens", "96", "--tracker", "none", "--eval-episodes", "0")
    results = {}
    for model in (folder, tmp_path / "run"):
        arguments = ["--model", str(model), "--episodes", "10", "--json", str(tmp_path / "r.json"), "--reference", str(folder)]
        assert main(["evaluate", *ENV, *arguments]) == 0
        shown = capsys.readouterr().out
        assert "early" in shown and "95 % interval" in shown and "KL a token" in shown
        results[model] = json.loads((tmp_path / "r.json").read_text())
        assert len(results[model]["episodes"]) == 10
        assert results[model]["reward"]["low"] <= results[model]["reward"]["mean"] <= results[model]["reward"]["high"]
    assert results[folder]["kl"]["per_token"]["mean"] == pytest.approx(0, abs=1e-6)
    assert results[tmp_path / "run"]["kl"]["per_token"]["mean"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--top-p", "0"], "top_p must lie in (0, 1], got 0.0"),
        (["--temperature", "-1"], "temperature must be at least 0"),
        (["--episodes", "0"], "--episodes must be at least 1"),
        (["--json", "no/such/folder/r.json"], "no/such/folder"),
    ],
)
def test_evaluate_explains_mistakes(folder, capsys, arguments, message):
    assert main(["evaluate", *ENV, "--model", str(folder), "--episodes", "2", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


# chat


def test_chat_reads_what_it_wrote(folder):
    """The ids that the model has read are those of the conversation, each once."""
    conversation = Conversation(folder, system="Be brief.", max_tokens=5, seed=0)
    seen = []
    model = conversation.model.forward

    def forward(input_ids, **kwargs):
        seen.extend(input_ids[0].tolist())
        return model(input_ids=input_ids, **kwargs)

    conversation.model.forward = forward
    replies = ["".join(conversation.reply(text)) for text in ("hi", "there")]
    ids = conversation.chat.open(({"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}))
    assert seen[: len(ids)] == ids
    middle = conversation.chat.close(None, ({"role": "user", "content": "there"},))
    assert conversation.chat.decode(seen[len(ids) : len(ids) + 5]) == replies[0]
    assert seen[len(ids) + 5 : len(ids) + 5 + len(middle)] == middle
    again = Conversation(folder, system="Be brief.", max_tokens=5, seed=0)
    assert ["".join(again.reply(text)) for text in ("hi", "there")] == replies


def test_chat_escapes_what_the_model_writes(folder):
    conversation = Conversation(folder, max_tokens=3)
    ids = iter([*conversation.chat.encode_reply("\x1b[2J"), *conversation.chat.encode_reply("\u202eok")] * 2)
    conversation._next = lambda: next(ids)
    lines = iter(["hi", "/reset", "hi"])

    def read(prompt):
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    out = io.StringIO()
    talk(conversation, read, out)
    assert "\x1b" not in out.getvalue() and "\u202e" not in out.getvalue()
    assert "\\u001b[2" in out.getvalue()


def test_a_full_context_is_said(folder):
    conversation = Conversation(folder, max_tokens=3)
    out = io.StringIO()
    lines = iter(["x" * 400])

    def read(prompt):
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    talk(conversation, read, out)
    assert "the model's context 256; /reset begins anew" in out.getvalue()


def test_greedy_chat_repeats_itself(folder):
    replies = ["".join(Conversation(folder, sampling=Sampling(0), max_tokens=6).reply("hello")) for _ in range(2)]
    assert replies[0] == replies[1] != ""


# all of it


def test_the_module_runs():
    run = subprocess.run([sys.executable, "-m", "agents", "--help"], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert run.returncode == 0 and all(
        command in run.stdout for command in ("train", "evaluate", "transcript", "chat", "reward-model", "rlhf")
    )


def test_every_argument_is_explained():
    for cls in cli._COMMANDS.values():
        assert all(item.metadata["help"] for item in fields(cls))
