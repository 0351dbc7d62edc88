import json
import random
import shutil

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import DictRolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from transformers import AutoConfig, AutoModelForCausalLM

from agents import checkpoint, kl
from agents.algorithms import make
from agents.checkpoint import CheckpointError, Checkpoints, load, load_kl, save
from agents.cli import main
from agents.kl import ReferenceKL, adapted, fingerprint
from agents.models import ModelSpec
from agents.policy import CausalLMPolicy
from agents.vec_env import SB3VecEnv
from tests.agents.tasks import early_env, save_small_model

ROWS, STEPS = 4, 12
ROLLOUT = ROWS * STEPS
ENV = ["--env", "tests/EarlyTokens-v0", "--env-kwargs", '{"max_turns": 2}']


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_small_model(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return save_small_model(tmp_path_factory.mktemp("models") / "other", seed=1, hidden_size=16)


def start(folder, name="ppo", **overrides):
    if name != "trpo":
        overrides = {"learning_rate": 1e-2, **overrides}
    return make(name, early_env(ROWS, turns=2), model=folder, seed=0, **{"n_steps": STEPS, **overrides})


def parameters(algo):
    return torch.cat([p.detach().flatten() for p in algo.policy.parameters()])


class Spy(BaseCallback):
    """Keeps each rollout's buffer and what was logged; stands before or behind the penalty."""

    def __init__(self):
        super().__init__()
        self.rollouts = []

    def _on_step(self):
        return True

    def _on_rollout_end(self):
        buffer = self.model.rollout_buffer
        arrays = {name: getattr(buffer, name).copy() for name in ("rewards", "log_probs", "actions", "lengths", "returns", "advantages")}
        values = {name: value for name, value in self.logger.name_to_value.items() if name.startswith("kl/")}
        self.rollouts.append({**arrays, **values})


class Texts(BaseCallback):
    """Each step's observations as plain lists of ids."""

    def _on_rollout_start(self):
        self.rows = []

    def _on_step(self):
        obs = self.locals["obs_tensor"]
        self.rows.append([ids[: int(mask.sum())].clone() for ids, mask in zip(obs["input_ids"], obs["attention_mask"], strict=True)])
        return True


def log_p_by_hand(model, ids, policy):
    """The next-token distribution after one text, from one plain pass."""
    with torch.no_grad():
        logits = model(input_ids=ids[None]).logits[0, -1, : policy.num_tokens].double() / policy.temperature
    logits[policy.forbidden] = -torch.inf
    return torch.log_softmax(logits, -1)


# The penalty


@pytest.mark.parametrize("name", ["ppo", "a2c", "trpo"])
@pytest.mark.parametrize("lora", [None, {"r": 2}])
def test_penalties_are_those_computed_by_hand(folder, name, lora):
    if lora:
        pytest.importorskip("peft")
    algo = start(folder, name, lora=lora, temperature=0.7)
    before, penalty, after, texts = Spy(), ReferenceKL(0.3, batch_size=20), Spy(), Texts()
    algo.learn(ROLLOUT, callback=penalty)  # something to diverge by
    halted = {"policy": None}

    class Halt(BaseCallback):
        def _on_step(self):
            return True

        def _on_rollout_end(self):
            halted["policy"] = {key: value.clone() for key, value in algo.policy.model.state_dict().items()}

    algo.learn(ROLLOUT, callback=[texts, Halt(), before, penalty, after], reset_num_timesteps=False)
    ours = ModelSpec.of(folder, lora=lora).build()
    ours.load_state_dict(halted["policy"])
    first = AutoModelForCausalLM.from_pretrained(folder).eval()
    raw, penalized = before.rollouts[0], after.rollouts[0]
    ratios, divergences = np.zeros((STEPS, ROWS)), np.zeros((STEPS, ROWS))
    for step in range(STEPS):
        for row in range(ROWS):
            ids, action = texts.rows[step][row], raw["actions"][step, row]
            p, q = log_p_by_hand(ours, ids, algo.policy), log_p_by_hand(first, ids, algo.policy)
            ratios[step, row] = p[action] - q[action]
            seen = ~algo.policy.forbidden
            divergences[step, row] = (p[seen].exp() * (p[seen] - q[seen])).sum()
    assert np.abs(ratios).max() > 0.01
    np.testing.assert_allclose(penalized["rewards"], raw["rewards"] - 0.3 * ratios, atol=1e-4)
    assert penalized["kl/beta"] == 0.3
    assert penalized["kl/sampled"] == pytest.approx(ratios.mean(), abs=1e-4)
    assert penalized["kl/penalty"] == pytest.approx(0.3 * ratios.mean(), abs=1e-4)
    assert penalized["kl/exact"] == pytest.approx(divergences.mean(), abs=1e-4) and penalized["kl/exact"] > 0
    assert penalized["kl/reward"] == pytest.approx(raw["rewards"].mean(), abs=1e-6)
    # Returns, without discount, are the sums of what is left; where an episode ends within the rollout they can be told from it alone.
    starts = algo.rollout_buffer.episode_starts
    for row in range(ROWS):
        ends = np.flatnonzero(starts[1:, row]) + 1
        if len(ends):
            np.testing.assert_allclose(penalized["returns"][0, row], penalized["rewards"][: ends[0], row].sum(), atol=1e-4)
    assert not np.allclose(penalized["advantages"], raw["advantages"])


def test_replies_are_counted_where_the_environment_speaks(folder):
    spy, penalty = Spy(), ReferenceKL(0.1)
    algo = start(folder, n_steps=40)
    replies = []

    class Count(BaseCallback):
        def _on_step(self):
            replies.append(sum("metrics" in info for info in self.locals["infos"]))
            return True

    algo.learn(2 * ROWS * 40, callback=[Count(), penalty, spy])
    ended = sum(replies[40:])
    assert 0 < ended < ROWS * 40
    assert spy.rollouts[1]["kl/per_reply"] == pytest.approx(spy.rollouts[1]["kl/exact"] * ROWS * 40 / ended, rel=1e-5)


@pytest.mark.parametrize("name", ["ppo", "a2c", "trpo"])
@pytest.mark.parametrize("lora", [False, True])
def test_without_a_coefficient_training_is_as_without_the_callback(folder, name, lora):
    if lora:
        pytest.importorskip("peft")
    spy = Spy()
    plain = start(folder, name, lora=lora).learn(3 * ROLLOUT)
    measured = start(folder, name, lora=lora).learn(3 * ROLLOUT, callback=[ReferenceKL(0.0), spy])
    assert torch.equal(parameters(plain), parameters(measured))
    first, *_, last = spy.rollouts
    assert abs(first["kl/exact"]) < 1e-6 and abs(first["kl/sampled"]) < 1e-6 and abs(first["kl/per_reply"]) < 1e-4
    assert last["kl/exact"] > 1e-4 and last["kl/penalty"] == 0


def test_an_adapter_off_is_a_copy_of_the_first_model(folder):
    pytest.importorskip("peft")
    runs = []
    for reference in (None, folder):
        algo, spy = start(folder, lora={"r": 2}, learning_rate=5e-2), Spy()
        algo.learn(3 * ROLLOUT, callback=[ReferenceKL(0.1, reference=reference), spy])
        runs.append([rollout[name] for rollout in spy.rollouts for name in ("kl/sampled", "kl/exact")])
    assert runs[0][-1] > 1e-3
    np.testing.assert_allclose(*runs, atol=1e-5)


def test_adapters_of_the_head_are_taken_off_too(tmp_path):
    pytest.importorskip("peft")
    folder = save_small_model(tmp_path / "untied")
    config = AutoConfig.from_pretrained(folder, tie_word_embeddings=False)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    lora = {"r": 2, "target_modules": ["lm_head"]}
    runs = []
    for reference in (None, folder):
        algo, spy = start(folder, lora=lora, learning_rate=5e-2), Spy()
        algo.learn(2 * ROLLOUT, callback=[ReferenceKL(0.1, reference=reference), spy])
        runs.append(spy.rollouts[-1]["kl/exact"])
    assert runs[0] == pytest.approx(runs[1], abs=1e-5) and runs[0] > 1e-3


def test_a_strong_penalty_keeps_the_policy_near(folder):
    far = {}
    for beta in (0.0, 1.0):
        algo, spy = make("ppo", early_env(8), model=folder, seed=0, n_steps=32, learning_rate=5e-3, detach_value=True), Spy()
        algo.learn(12 * 256, callback=[ReferenceKL(beta), spy])
        far[beta] = np.mean([rollout["kl/exact"] for rollout in spy.rollouts[-3:]])
    assert 0 < far[1.0] < far[0.0] / 2


def test_chunks_change_nothing(folder, monkeypatch):
    values = []
    for chunk in (kl.CHUNK, 7 * 300):
        monkeypatch.setattr(kl, "CHUNK", chunk)
        algo, spy = start(folder), Spy()
        algo.learn(2 * ROLLOUT, callback=[ReferenceKL(0.1, batch_size=17), spy])
        values.append(spy.rollouts[-1])
    np.testing.assert_allclose(values[0]["rewards"], values[1]["rewards"], atol=1e-5)
    assert values[0]["kl/exact"] == pytest.approx(values[1]["kl/exact"], abs=1e-6)


def test_without_exact_the_policy_is_not_read_again(folder, monkeypatch):
    algo, spy, penalty = start(folder), Spy(), ReferenceKL(0.1, exact=False, target=0.05)
    calls = []
    original = CausalLMPolicy.states
    monkeypatch.setattr(
        CausalLMPolicy,
        "states",
        lambda self, obs, **kw: (calls.append(self) if not algo.policy.training else None, original(self, obs, **kw))[1],
    )
    scores = penalty._scores
    monkeypatch.setattr(penalty, "_scores", lambda buffer: (calls.clear(), scores(buffer))[1])
    algo.learn(2 * ROLLOUT, callback=[penalty, spy])
    assert "kl/exact" not in spy.rollouts[0] and {"kl/sampled", "kl/per_reply"} <= spy.rollouts[0].keys()
    assert penalty.beta != 0.1


# The reference


def test_the_copy_shares_nothing_and_stands_still(folder):
    algo, penalty = start(folder), ReferenceKL(0.1)
    algo.learn(2 * ROLLOUT, callback=penalty)
    reference = penalty.reference
    assert not {p.data_ptr() for p in reference.parameters()} & {p.data_ptr() for p in algo.policy.parameters()}
    assert not reference.training and not any(p.requires_grad for p in reference.parameters())
    first = AutoModelForCausalLM.from_pretrained(folder)
    for ours, theirs in zip(reference.model.parameters(), first.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    algo.learn(ROLLOUT, callback=penalty, reset_num_timesteps=False)
    assert penalty.reference is reference


def test_another_model_can_be_the_reference(folder, other):
    spec = ModelSpec.of(other)
    policy = start(other).policy
    values = []
    for reference in (other, str(other), spec, policy):
        spy = Spy()
        start(folder).learn(ROLLOUT, callback=[ReferenceKL(0.1, reference=reference), spy])
        values.append(spy.rollouts[0]["kl/exact"])
    assert values[0] > 1e-4
    np.testing.assert_allclose(values, values[0], rtol=1e-6)


# The coefficient


def test_the_coefficient_follows_the_target():
    assert adapted(0.1, 1.0, 1.0, 1.0) == 0.1
    assert adapted(0.1, 1.1, 1.0, 0.5) == pytest.approx(0.1 * 1.05)
    assert adapted(0.1, 0.9, 1.0, 0.5) == pytest.approx(0.1 * 0.95)
    assert adapted(0.1, 50.0, 1.0, 1.0) == pytest.approx(0.12)
    assert adapted(0.1, -50.0, 1.0, 1.0) == pytest.approx(0.08)


@pytest.mark.parametrize("per", ["token", "reply"])
def test_it_rises_above_the_target_and_falls_below(folder, per):
    betas = {}
    for target in (1e-9, 1e9):
        algo, spy, penalty = start(folder), Spy(), ReferenceKL(0.1, target=target, per=per, horizon=4 * ROLLOUT)
        algo.learn(4 * ROLLOUT, callback=[penalty, spy])
        betas[target] = [rollout["kl/beta"] for rollout in spy.rollouts] + [penalty.beta]
        assert betas[target][0] == 0.1  # a rollout is penalized by the coefficient before it was adapted
    np.testing.assert_allclose(betas[1e9], 0.1 * 0.95 ** np.arange(5))
    np.testing.assert_allclose(np.divide(betas[1e-9][2:], betas[1e-9][1:-1]), 1.05)


def test_it_stays_without_a_target(folder):
    penalty = ReferenceKL(0.1)
    start(folder).learn(3 * ROLLOUT, callback=penalty)
    assert penalty.beta == 0.1


def test_a_long_rollout_changes_it_by_a_fifth_at_most(folder):
    penalty = ReferenceKL(0.1, target=1e9, horizon=1)
    start(folder).learn(ROLLOUT, callback=penalty)
    assert penalty.beta == pytest.approx(0.08)


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beta": -1}, "beta must be a finite number of at least 0, got -1"),
        ({"beta": float("nan")}, "beta must be a finite"),
        ({"target": 0}, "target must be a positive number of nats, or None for a fixed beta; got 0"),
        ({"beta": 0, "target": 0.1}, "with a target it must begin above 0"),
        ({"per": "word"}, "per must be one of 'token', 'reply'; got 'word'"),
        ({"horizon": 0}, "horizon must be"),
        ({"batch_size": 0}, "batch_size must be"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        ReferenceKL(**arguments)


def test_what_it_cannot_work_with_is_said(folder, other, model_dirs):
    kwargs = {"rollout_buffer_class": DictRolloutBuffer, "batch_size": 24}
    with pytest.raises(ValueError, match="has a DictRolloutBuffer: make it with rollout_buffer_class=EpisodeRolloutBuffer"):
        start(folder, **kwargs).learn(ROLLOUT, callback=ReferenceKL())
    with pytest.raises(ValueError, match="has a RolloutBuffer"):
        algo = start(folder)
        algo.rollout_buffer = object.__new__(type("RolloutBuffer", (), {}))
        algo.learn(ROLLOUT, callback=ReferenceKL())
    with pytest.raises(TypeError, match="has a ActorCriticPolicy|has a MultiInput"):
        PPO("MultiInputPolicy", SB3VecEnv(early_env(2)), n_steps=4, batch_size=8).learn(8, callback=ReferenceKL())
    with pytest.raises(FileNotFoundError, match="no causal LM at 'no/such/model'"):
        start(folder).learn(ROLLOUT, callback=ReferenceKL(reference="no/such/model"))
    with pytest.raises(ValueError, match="has another tokenizer than the environment"):
        start(folder).learn(ROLLOUT, callback=ReferenceKL(reference="tiny"))
    with pytest.raises(ValueError, match="48 logits"):
        start(folder).learn(ROLLOUT, callback=ReferenceKL(reference=model_dirs["llama"]))
    algo = start(folder)
    with pytest.raises(ValueError, match="shares parameters with the policy"):
        algo.learn(ROLLOUT, callback=ReferenceKL(reference=algo.policy))
    penalty = ReferenceKL()
    start(folder).learn(ROLLOUT, callback=penalty)
    with pytest.raises(ValueError, match="belongs to another algorithm"):
        start(folder).learn(ROLLOUT, callback=penalty)
    with pytest.warns(UserWarning, match="the reference is the model as it is now"):
        start(folder).learn(ROLLOUT).learn(ROLLOUT, callback=ReferenceKL(), reset_num_timesteps=False)


@pytest.mark.parametrize("lora", [{"bias": "all"}, {"init_lora_weights": "olora"}])
def test_adapters_that_move_the_weights_below_are_refused(folder, lora):
    pytest.importorskip("peft")
    with pytest.raises(ValueError, match="the model without its adapter is not the one that training began with"):
        start(folder, lora=lora).learn(ROLLOUT, callback=ReferenceKL())


# Checkpoints


class Stopped(Exception):
    pass


class StopAfterSaving(Checkpoints):
    def _on_rollout_start(self):
        super()._on_rollout_start()
        if self.folder.exists():
            raise Stopped


FIXED, ADAPTED = {"beta": 0.2}, {"beta": 0.2, "target": 1e-3, "per": "reply", "horizon": 100}


@pytest.mark.parametrize(
    ("name", "lora", "settings"),
    [
        ("ppo", None, FIXED),
        ("ppo", None, ADAPTED),
        ("ppo", {"r": 2}, FIXED),
        ("ppo", {"r": 2}, ADAPTED),
        ("a2c", None, ADAPTED),
        ("trpo", {"r": 2}, ADAPTED),
    ],
)
def test_a_resumed_run_is_the_uninterrupted_one(folder, tmp_path, name, lora, settings):
    if lora:
        pytest.importorskip("peft")
    source = shutil.copytree(folder, tmp_path / "source")
    spies = Spy(), Spy()
    whole, first = start(source, name, lora=lora), ReferenceKL(**settings)
    whole.learn(4 * ROLLOUT, callback=[first, spies[0]])
    halted = start(source, name, lora=lora)
    with pytest.raises(Stopped):
        halted.learn(4 * ROLLOUT, callback=[ReferenceKL(**settings), StopAfterSaving(tmp_path / "c", every=2)])
    shutil.rmtree(source)
    random.random(), np.random.random(3), torch.rand(5)
    resumed = load(tmp_path / "c", early_env(ROWS, turns=2))
    penalty = load_kl(tmp_path / "c")
    assert penalty.settings == {**first.settings, "beta": spies[0].rollouts[2]["kl/beta"]}
    resumed.learn(2 * ROLLOUT, callback=[penalty, spies[1]], reset_num_timesteps=False)
    assert torch.equal(parameters(resumed), parameters(whole))
    for ours, theirs in zip(spies[1].rollouts, spies[0].rollouts[2:], strict=True):
        np.testing.assert_equal(ours, theirs)
    assert penalty.beta == first.beta and (penalty.beta != 0.2) == ("target" in settings)


def kept(place):
    return list((place / "training").glob("reference-*"))


def test_the_reference_is_kept_once_and_only_where_it_must_be(folder, tmp_path, monkeypatch):
    penalty, algo = ReferenceKL(), start(folder)
    algo.learn(ROLLOUT, callback=[penalty, Checkpoints(tmp_path / "c")])
    (first,) = kept(tmp_path / "c")
    inode = first.stat().st_ino
    save(algo, tmp_path / "c", kl=penalty)
    assert kept(tmp_path / "c")[0].stat().st_ino == inode  # a second name for the same file
    monkeypatch.setattr(checkpoint.os, "link", lambda *_: (_ for _ in ()).throw(OSError("no hard links here")))
    save(algo, tmp_path / "c", kl=penalty)
    assert kept(tmp_path / "c")[0].stat().st_ino != inode
    assert fingerprint(load_kl(tmp_path / "c")._given.build()) == penalty.recipe["fingerprint"]

    kwargs = {"env_kwargs": {"max_length": 200}, "n_envs": 2, "n_steps": 4, "batch_size": 8}
    algo, penalty = make("ppo", "lm_envs/SentimentTokens-v0", model="tiny", **kwargs), ReferenceKL()
    algo.learn(8, callback=[penalty, Checkpoints(tmp_path / "t")])
    assert penalty.recipe["source"] == "tiny" and not kept(tmp_path / "t")
    again = load_kl(tmp_path / "t")
    assert fingerprint(again._given.build()) == penalty.recipe["fingerprint"]

    changed, penalty = make("ppo", "lm_envs/SentimentTokens-v0", model="tiny", **kwargs), ReferenceKL()
    with torch.no_grad():
        next(changed.policy.model.parameters()).add_(1e-3)
    changed.learn(8, callback=[penalty, Checkpoints(tmp_path / "t")])
    assert penalty.recipe["source"] is None and kept(tmp_path / "t")

    monkeypatch.setattr(kl, "locate", lambda _: str(folder))
    state = tmp_path / "t" / "training" / "kl.json"
    data = json.loads(state.read_text())
    data["recipe"]["source"] = "tiny"
    state.write_text(json.dumps(data))
    with pytest.raises(CheckpointError, match="cannot bring back the KL penalty's reference"):
        load_kl(tmp_path / "t")


def test_a_checkpoint_without_a_penalty_says_so(folder, tmp_path):
    place = save(start(folder), tmp_path / "c")
    with pytest.raises(CheckpointError, match="is of a run without a KL penalty"):
        load_kl(place)
    with pytest.raises(RuntimeError, match="before training begins"):
        save(start(folder), place, kl=ReferenceKL())
    with pytest.raises(ValueError, match="this run has several"):
        start(folder).learn(ROLLOUT, callback=[ReferenceKL(), ReferenceKL(), Checkpoints(place)])


# The command


def train(folder, out, *more):
    base = [
        "--model",
        str(folder),
        "--n-envs",
        "4",
        "--n-steps",
        "12",
        "--eval-episodes",
        "4",
        "--total-tokens",
        "144",
        "--tracker",
        "none",
    ]
    return main(["train", *ENV, *base, "--lr", "0.01", "--checkpoint-every", "1", "--out", str(out), *more])


def rows(out):
    lines = (out / "metrics.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if not name.startswith(("time/", "train/"))} for line in lines]


@pytest.mark.parametrize(("options", "lora"), [(("--kl-beta", "0.3"), ()), (("--kl-target", "0.001"), ("--lora",))])
def test_a_resumed_command_ends_where_an_uninterrupted_one_does(folder, tmp_path, capsys, monkeypatch, lora, options):
    if lora:
        pytest.importorskip("peft")
    source = shutil.copytree(folder, tmp_path / "source")
    assert train(source, tmp_path / "whole", *options, *lora) == 0
    shown = capsys.readouterr().out
    assert ("beta 0.3, fixed" if "--kl-beta" in options else "beta 0.05, adapted to 0.001 nats a token") in shown
    assert "KL penalty: nats a token" in shown
    original, calls = checkpoint.save, []

    def interrupted(*args, **kwargs):
        original(*args, **kwargs)
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", interrupted)
    assert train(source, tmp_path / "halted", *options, *lora) == 2
    shutil.rmtree(source)
    assert main(["train", "--resume", str(tmp_path / "halted")]) == 0
    assert rows(tmp_path / "halted") == rows(tmp_path / "whole") and len(rows(tmp_path / "whole")) == 3
    assert {"kl/beta", "kl/sampled", "kl/exact", "kl/per_reply", "kl/penalty", "kl/reward"} <= rows(tmp_path / "whole")[-1].keys()
    weights = [(tmp_path / run / "checkpoint" / "model.safetensors").read_bytes() for run in ("whole", "halted")]
    assert weights[0] == weights[1]
    summaries = [json.loads((tmp_path / run / "summary.json").read_text()) for run in ("whole", "halted")]
    assert summaries[0]["kl"] == summaries[1]["kl"] and summaries[0]["kl"]["per_token"]["mean"] > 0
    assert summaries[0]["args"]["kl_beta"] == (0.3 if "--kl-beta" in options else None)
    assert main(["train", "--resume", str(tmp_path / "halted"), "--kl-beta", "1"]) == 2
    assert "a resumed run keeps its arguments; --kl-beta cannot change" in capsys.readouterr().err


def test_a_bad_coefficient_is_one_line(folder, tmp_path, capsys):
    assert train(folder, tmp_path / "run", "--kl-beta", "-1") == 2
    assert capsys.readouterr().err == "error: beta must be a finite number of at least 0, got -1.0\n"
    assert not (tmp_path / "run").exists()


# Devices


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("lora", [None, {"r": 2}])
@pytest.mark.parametrize("autocast", [False, True])
def test_on_cuda(folder, lora, autocast):
    algo, spy = start(folder, lora=lora, device="cuda", autocast=autocast), Spy()
    penalty = ReferenceKL(0.1)
    algo.learn(3 * ROLLOUT, callback=[penalty, spy])
    if penalty.reference is not None:
        assert penalty.reference.device.type == "cuda"
    assert abs(spy.rollouts[0]["kl/exact"]) < (1e-2 if autocast else 1e-5)
    assert np.isfinite(spy.rollouts[-1]["rewards"]).all() and spy.rollouts[-1]["kl/exact"] > 0
