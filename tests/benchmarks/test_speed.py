import copy
import json

import numpy as np
import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.experiments.speed import engine, figures, scaling, suite
from benchmarks.experiments.speed.engine import Generation, SequenceLoop, Setting, ppo, ready, rollout, sequences

SMALL = Setting(rows=3, prompt=4, reply=6, ragged=(2, 6), epochs=2, minibatches=1, rounds=1)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def spec(monkeypatch):
    config = engine.small_llama(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2)
    monkeypatch.setattr(engine, "small_llama", lambda: config)
    return SMALL.spec()


def parameters(policy):
    return torch.cat([p.detach().flatten() for p in policy.parameters()])


def test_an_iteration_of_ppo_is_the_same_on_the_engine_and_with_a_plain_policy(spec):
    trained = [ppo(SMALL, spec, "cpu", plain=plain) for plain in (False, True)]
    start = copy.deepcopy(trained[0].policy.state_dict())
    for algorithm in trained:
        algorithm.policy.load_state_dict(start)
        algorithm.set_random_seed(0)
        algorithm.learn(SMALL.rows * SMALL.reply)
    assert np.array_equal(trained[0].rollout_buffer.actions, trained[1].rollout_buffer.actions.reshape(SMALL.rows, SMALL.reply).T)
    ours, theirs = (parameters(algorithm.policy) for algorithm in trained)
    before = torch.cat([start[name].flatten() for name, _ in trained[0].policy.named_parameters()])
    assert (ours - theirs).abs().max() < 1e-3 * (ours - before).abs().max()
    assert trained[0].policy.engine == "slots"


def test_the_hand_written_loop_makes_the_same_update(spec):
    algorithm = ppo(SMALL, spec, "cpu")
    algorithm.ent_coef = 0.0
    loop = SequenceLoop(SMALL, copy.deepcopy(algorithm.policy))
    loop._optimizer = loop._policy.optimizer
    rollout(algorithm, ready(algorithm))
    data = list(sequences(algorithm, SMALL))
    advantages = data[2]
    data[2] = (advantages - advantages.mean()) / (advantages.std() + 1e-8)  # as the buffer deals them
    before = parameters(algorithm.policy)
    loop.update(*data)
    algorithm.train()
    assert (
        (parameters(algorithm.policy) - parameters(loop._policy)).abs().max() < 1e-6 < (parameters(algorithm.policy) - before).abs().max()
    )


def test_generation_has_the_lengths_that_are_asked_for(spec):
    generate = Generation(SMALL, spec, ppo(SMALL, spec, "cpu").policy.model)
    assert generate().shape == (3, 10)
    texts = generate(np.array([2, 5, 3]))
    assert texts.shape == (3, 9)


def test_the_stand_in_draws_lengths(spec):
    algorithm = ppo(SMALL, spec, "cpu", ragged=True, steps=24)
    rollout(algorithm, ready(algorithm))
    starts = algorithm.rollout_buffer.episode_starts
    gaps = np.diff(np.flatnonzero(starts[:, 0]))
    assert set(gaps) <= set(range(2, 7)) and len(set(gaps)) > 1


def test_the_buffer_does_not_grow_with_the_context():
    assert scaling.measure_buffer(SMALL, (16, 1024)).met


def test_figures_know_their_targets():
    assert figures.figure("a", [1.0, 3.0, 2.0], at_least=2).met is True
    assert figures.figure("a", [1.0], at_most=0.5).met is False
    assert figures.figure("a", [1.0]).met is None
    order = []
    seconds = figures.interleaved({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2)
    assert order == ["a", "b", "b", "a", "a", "b"] and {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}
    assert figures.ratios([4.0, 2.0], [2.0, 4.0]) == [2.0, 0.5]


def test_command(tmp_path, capsys):
    assert main(["speed", "--quick", "--parts", "engine", "scaling", "--threads", "1", "--device", "cpu", "--out", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "speed.json").read_text())
    assert results["machine"]["threads"] == "1" and set(results["figures"]) == {"engine", "scaling"}
    assert (tmp_path / "table.md").read_text().startswith("| figure | measured | target |")
    assert "rollout / generate" in capsys.readouterr().out


def test_parts_are_those_of_the_command():
    from benchmarks.__main__ import SPEED_PARTS

    for part in SPEED_PARTS:
        assert callable(suite._measure(part, "cpu"))
