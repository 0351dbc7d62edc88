import json

import numpy as np
import pytest
import torch

from agents.cli import main
from agents.evaluation import Sampling, evaluate, kl_from
from agents.transcript import pieces, policy_of, record, token_env
from lm_envs.chat import ChatFormat
from lm_envs.tokens import TokenEnv
from lm_envs.vector import TokenVectorEnv
from tests.agents.tasks import EarlyEnv, save_small_model
from tests.lm_envs.toys import byte_level

ENV = "lm_envs/DialogueTokens-v0"
KWARGS = {"max_turns": 3, "max_length": 250, "max_reply_tokens": 6}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_small_model(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return save_small_model(tmp_path_factory.mktemp("models") / "other", seed=5)


@pytest.fixture(scope="module")
def env(folder):
    return token_env(ENV, folder, KWARGS)


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")


def test_it_is_the_episode_that_evaluation_plays(folder, other, env):
    policy, reference = policy_of(env, folder), policy_of(env, other)
    torch.nn.init.normal_(policy.value_head.weight)
    shown = record(policy, env, name=ENV, seed=3, reference=reference)
    rows = TokenVectorEnv([token_env(ENV, folder, KWARGS).env.unwrapped], env.tokenizer, max_length=250, max_reply_tokens=6)
    found = evaluate(policy, rows, 1, seed=3)
    (episode,) = found.episodes
    assert shown.scenario == episode.scenario and shown.reward == pytest.approx(episode.reward)
    assert shown.last_metrics == episode.metrics
    written = [turn.tokens for turn in shown.turns]
    assert sum(len(trace.tokens) for trace in written) == len(episode.positions)
    kl = kl_from(policy, reference, [episode])
    assert np.mean([value for trace in written for value in trace.kl]) == pytest.approx(kl.per_token.mean, rel=1e-4)


def test_numbers_are_those_of_the_policy(folder, other, env):
    policy, reference = policy_of(env, folder), policy_of(env, other)
    torch.nn.init.normal_(policy.value_head.weight)
    shown = record(policy, env, seed=1, sampling=Sampling(0), reference=reference)
    observation, _ = env.reset(seed=1)
    for turn in shown.turns:
        trace = turn.tokens
        assert turn.reward == pytest.approx(sum(trace.rewards)) and not any(trace.rewards[:-1])
        for place in range(len(trace.tokens)):
            tensors = {key: torch.as_tensor(value[None]) for key, value in observation.items()}
            with torch.no_grad():
                log_p = torch.log_softmax(policy.logits(policy.states(tensors)), dim=-1)
                log_q = torch.log_softmax(reference.logits(reference.states(tensors)), dim=-1)
                value = policy.predict_values(tensors)
            token = int(log_p.argmax())
            assert trace.log_probs[place] == pytest.approx(float(log_p[0, token]), abs=1e-4)
            assert trace.kl[place] == pytest.approx(float((log_p.exp() * (log_p - log_q)).sum()), abs=1e-4)
            assert trace.values[place] == pytest.approx(float(value), abs=1e-3)
            observation, *_ = env.step(token)


def test_what_is_not_known_is_left_out(folder, env):
    trace = record(policy_of(env, folder), env, critic=False).turns[0].tokens
    assert trace.values is None and trace.kl is None and len(trace.log_probs) == len(trace.tokens)


@pytest.mark.filterwarnings("ignore:Model with `tie_word_embeddings=True`")
@pytest.mark.parametrize("lora", [{}, {"target_modules": ["q_proj", "lm_head"]}])
def test_a_policy_against_itself_without_its_adapter(folder, env, lora):
    pytest.importorskip("peft")
    policy = policy_of(env, folder, lora=lora)
    assert max(value for turn in record(policy, env, reference=policy).turns for value in turn.tokens.kl) < 1e-6
    with torch.no_grad():
        for name, weights in policy.model.named_parameters():
            if "lora_B" in name:
                weights.normal_()  # a constant would add the same to every logit
    shown, whole = record(policy, env, reference=policy), record(policy, env, reference=policy_of(env, folder))
    for turn, same in zip(shown.turns, whole.turns, strict=True):
        assert turn.tokens.kl == pytest.approx(same.tokens.kl, abs=1e-4) and max(turn.tokens.kl) > 1e-3


def test_pieces_spell_the_reply():
    chat = ChatFormat(byte_level())
    ids = chat.encode_reply("the 🙂 ok")
    found = pieces(chat, ids)
    assert len(found) == len(ids) and found[-1] == "<|im_end|>" and "".join(found[:-1]) == "the 🙂 ok"
    assert found.count("") == 3
    assert "".join(pieces(chat, ids[:3])) == chat.decode(ids[:3])
    assert pieces(chat, []) == ()


def test_recording_leaves_the_policy_in_training(folder, env):
    policy = policy_of(env, folder)
    policy.set_training_mode(True)
    state = torch.random.get_rng_state()
    record(policy, env)
    assert policy.training and torch.equal(state, torch.random.get_rng_state())


def test_ids_of_something_else_are_refused(folder):
    with pytest.raises(ValueError, match="agents that write tokens need lm_envs/DialogueTokens-v0"):
        token_env("lm_envs/Dialogue-v0", folder)
    with pytest.raises(ValueError, match="CartPoleEnv; expected a token environment"):
        token_env("CartPole-v1", "tiny")


# The command.


def arguments(folder, out, *more):
    return ["transcript", "--env", ENV, "--env-kwargs", json.dumps(KWARGS), "--model", str(folder), "--out", str(out), *more]


def test_the_command_writes_a_page(folder, other, tmp_path, capsys):
    for name, more in (("a", []), ("b", []), ("c", ["--reference", str(other)]), ("d", ["--seed", "1", "--temperature", "0"])):
        assert main(arguments(folder, tmp_path / name, *more)) == 0
    assert capsys.readouterr().out.count("reward ") == 4
    pages = {name: (tmp_path / name).read_text() for name in "abcd"}
    assert pages["a"] == pages["b"] != pages["d"]
    assert 'id="by-p"' in pages["a"] and 'id="by-k"' not in pages["a"] and 'id="by-v"' not in pages["a"]
    assert 'id="by-k"' in pages["c"] and f"reference <b>{other}</b>" in pages["c"]


@pytest.mark.parametrize("lora", [False, True])
def test_a_run_is_compared_with_its_beginning(folder, tmp_path, capsys, lora):
    if lora:
        pytest.importorskip("peft")
    run = tmp_path / "run"
    options = ["--n-envs", "2", "--n-steps", "24", "--total-tokens", "96", "--lr", "0.01", "--eval-episodes", "0", "--tracker", "none"]
    options += ["--env-kwargs", json.dumps(KWARGS), "--out", str(run), *(["--lora"] if lora else [])]
    assert main(["train", "--env", ENV, "--model", str(folder), *options]) == 0
    for model in (run, run / "checkpoint"):
        assert main(arguments(model, tmp_path / "page.html")) == 0
        page = (tmp_path / "page.html").read_text()
        assert 'id="by-k"' in page and 'id="by-v"' in page
        assert f"reference <b>{'the model without its adapter' if lora else folder}</b>" in page
    if not lora:  # what the run began with may be gone
        args = json.loads((run / "args.json").read_text())
        (run / "args.json").write_text(json.dumps({**args, "model": str(tmp_path / "gone")}))
        with pytest.warns(UserWarning, match="no KL divergence from the start"):
            assert main(arguments(run, tmp_path / "page.html")) == 0
        assert 'id="by-k"' not in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--env", "lm_envs/Dialogue-v0"], "agents that write tokens need"),
        (["--env-kwargs", '{"colour": 1}'], "has no argument 'colour'"),
        (["--out", "/no/such/folder/x.html"], "--out: there is no folder /no/such/folder"),
        (["--temperature", "-1"], "temperature must be at least 0"),
        (["--model", "no/such/model"], "no/such/model"),
        (["--reference", "no/such/model"], "no/such/model"),
    ],
)
def test_mistakes_get_one_line(folder, tmp_path, capsys, more, message):
    assert main(arguments(folder, tmp_path / "x.html", *more)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and message in error


def test_any_text_environment_will_do(folder):
    small = TokenEnv(EarlyEnv(), byte_level(), max_length=64, max_reply_tokens=4)
    shown = record(policy_of(small, folder), small, seed=2)
    assert shown.env == "EarlyEnv" and shown.end == "terminated" and len(shown.turns) == 1
    assert len(shown.turns[0].tokens.tokens) <= 4 and shown.turns[0].metrics["turns"] == 1
