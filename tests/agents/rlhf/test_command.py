"""The whole path with a model of a few thousand parameters, killed and gone on with."""

import json

import pytest
import torch
from rich.console import Console

pytest.importorskip("trl")
pytest.importorskip("matplotlib")

from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

from agents import checkpoint, cli  # noqa: E402
from agents.arguments import UsageError  # noqa: E402
from agents.cli import main  # noqa: E402
from agents.rlhf import command, judge, ppo, start  # noqa: E402
from agents.rlhf.arguments import RLHFArgs  # noqa: E402
from tests.agents.tasks import save_small_model  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.set_num_threads(1)
    return save_small_model(tmp_path_factory.mktemp("models") / "small")


def arguments(model, out, **more):
    given = {
        "model": str(model),
        "env_kwargs": {"target": "positive", "max_length": 200, "max_reply_tokens": 6},
        "reward": "length",
        "betas": (0.0, 0.1),
        "tokens": 48,
        "ppo": {"n_envs": 2, "n_steps": 6, "checkpoint_every": 1},
        "episodes": 3,
        "out": str(out),
    }
    return RLHFArgs(**{**given, **more})


def run(args):
    return command.run(args, Console(quiet=True))


def forbidden(*_args, **_more):
    raise AssertionError("this was done already")


def test_from_expert_to_model_folder_once(model, tmp_path, monkeypatch):
    args = arguments(model, tmp_path / "out", start="expert", start_examples=32, start_lr=1e-3)
    results = run(args)
    out = tmp_path / "out"
    assert results["chosen"] in (0.0, 0.1) and set(results["betas"]) == {"0", "0.1"}
    for result in (results["start"], *results["betas"].values()):
        assert len(result["held out"]["episodes"]) == 3 and result["held out"]["perplexity"]["mean"] > 1
    assert results["start"]["held out"]["kl"]["mean"] == pytest.approx(0, abs=1e-6)
    assert results["betas"]["0"]["held out"]["kl"]["mean"] > 0
    loaded = AutoModelForCausalLM.from_pretrained(out / "model")
    chosen = AutoModelForCausalLM.from_pretrained(out / "ppo" / f"beta-{results['chosen']:g}" / "run" / "checkpoint")
    began = AutoModelForCausalLM.from_pretrained(out / "start")
    first = AutoModelForCausalLM.from_pretrained(model)
    for ours, theirs, start_weights, first_weights in zip(*(m.parameters() for m in (loaded, chosen, began, first)), strict=True):
        assert torch.equal(ours, theirs) and not torch.equal(start_weights, first_weights)
    assert AutoTokenizer.from_pretrained(out / "model").get_vocab() == AutoTokenizer.from_pretrained(model).get_vocab()
    card = (out / "model" / "README.md").read_text()
    for text in ("32 conversations of `expert`", "| beta 0.1", '"reward": "length"', "Seed: 0"):
        assert text in card
    assert (out / "overoptimization.png").read_bytes().startswith(b"\x89PNG")
    for module, name in ((cli, "train"), (start, "_fit"), (judge, "_judged")):
        monkeypatch.setattr(module, name, forbidden)
    assert run(args) == results


def test_more_betas_and_other_choices_redo_nothing(model, tmp_path, monkeypatch):
    run(arguments(model, tmp_path / "out"))
    trained, train = [], cli.train
    monkeypatch.setattr(cli, "train", lambda given: trained.append(given["kl_beta"]) or train(given))
    results = run(arguments(model, tmp_path / "out", betas=(0.0, 0.1, 0.3), max_perplexity=9.0))
    assert trained == [0.3] and set(results["betas"]) == {"0", "0.1", "0.3"}
    run(arguments(model, tmp_path / "out", tokens=24))
    assert trained == [0.3, 0.0, 0.1]  # with other tokens all are other runs


def test_a_killed_run_goes_on_from_its_checkpoint(model, tmp_path, monkeypatch):
    whole = run(arguments(model, tmp_path / "whole"))
    rollouts, ended = [], cli.EpisodeMetrics._on_rollout_end

    def killed(self):
        ended(self)
        rollouts.append(self.num_timesteps)
        if len(rollouts) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cli.EpisodeMetrics, "_on_rollout_end", killed)
        with pytest.raises(UsageError, match="interrupted"):
            run(arguments(model, tmp_path / "cut"))
    place = tmp_path / "cut" / "ppo" / "beta-0" / "run"
    assert ppo._tokens(checkpoint.find(place / "checkpoint")) == 24
    monkeypatch.setattr(cli.EpisodeMetrics, "_on_rollout_end", lambda self: (ended(self), rollouts.append(self.num_timesteps))[0])
    rollouts.clear()
    again = run(arguments(model, tmp_path / "cut"))
    assert rollouts == [36, 48, 12, 24, 36, 48]
    for part in ("proxy", "gold", "kl", "perplexity", "episodes"):
        assert again["betas"]["0"]["held out"][part] == whole["betas"]["0"]["held out"][part]
    assert [row["step"] for row in ppo.curve(place)] == [12, 24, 36, 48]
    (place / "summary.json").unlink()  # as if killed between the last checkpoint and the summary
    monkeypatch.setattr(cli, "train", forbidden)
    assert run(arguments(model, tmp_path / "cut"))["betas"] == again["betas"]


def test_a_start_from_own_data(model, tmp_path):
    file = tmp_path / "own.jsonl"
    file.write_text("\n".join(json.dumps({"prompt": f"The soup {n}", "reply": "was warm."}) for n in range(20)))
    args = arguments(model, tmp_path / "out", start=str(file), start_examples=12, start_lr=1e-2, start_epochs=4)
    found = start.make_start(args, tmp_path / "start")
    assert found["examples"] == 12 and found["loss"] < 5.5
    assert start.make_start(args, tmp_path / "start") == found
    assert start.make_start(arguments(model, tmp_path / "out", start=str(file)), tmp_path / "start") != found


def test_users_get_one_line(model, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    given = ["rlhf", "--model", str(model), "--env-kwargs", '{"max_length": 200, "max_reply_tokens": 6}', "--reward", "length"]
    for number, (more, message) in enumerate(
        (
            (["--out", str(tmp_path / "full")], "is not empty"),
            (["--tokens", "0"], "--tokens must be at least 1"),
            (["--reward", "nope"], "unknown reward model 'nope'"),
            (["--reward-model", "{}"], "give one of them"),
            (["--gold", "nope"], "has no metric 'nope'"),
            (["--ppo", '{"out": "x"}'], "--ppo has 'out'"),
            (["--start", str(tmp_path / "none.csv")], "can't read"),
            (["--env-kwargs", '{"reward": "vader"}'], "named by --reward"),
            (["--max-perplexity", "0.5"], "at least 1"),
        )
    ):
        assert main([*given, "--episodes", "2", "--tokens", "8", "--out", str(tmp_path / str(number)), *more]) == 2, message
        shown = capsys.readouterr().err
        assert message in shown and len(shown.strip().splitlines()) == 1
