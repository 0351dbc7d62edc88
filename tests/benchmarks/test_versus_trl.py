import json
import math

import pytest

from benchmarks.__main__ import main
from benchmarks.experiments.versus_trl import analysis, ours, sweep
from benchmarks.experiments.versus_trl.task import Curve, Task, compound, prompts
from lm_envs.chat import ChatFormat
from lm_envs.tokens import load_tokenizer

TINY = Task(model="tiny", replies=4, reply_tokens=6, window=8, goal=2.0, bf16=False, threads=1, cap_seconds=0.0)


def result(side, seed, seconds, iterations=5):
    points = [
        {"seconds": 10.0 * (i + 1), "tokens": 384 * (i + 1), "replies": 16, "mean": 0.1 * i, "running": 0.1 * i} for i in range(iterations)
    ]
    reached = {"seconds": seconds, "tokens": 384 * iterations, "iterations": iterations}
    return {
        "side": side,
        "seed": seed,
        "task": {"goal": 0.9, "window": 32},
        **(reached if seconds is not None else dict.fromkeys(reached)),
        "points": points,
        "samples": ["fine"],
    }


def test_ratio_is_of_medians_and_its_interval_is_the_bootstraps():
    estimate = analysis.ratio([10.0, 20.0, 30.0], [40.0, 40.0, 40.0])
    assert estimate.mean == pytest.approx(0.5)
    # Of 27 resamples 7 have the median 10 and 7 the median 30: more than 2.5 % on each side.
    assert (estimate.low, estimate.high) == (0.25, 0.75)


def test_ratio_of_many_seeds_is_the_same_every_time():
    a, b = [float(n) for n in range(10, 19)], [20.0] * 9
    assert analysis.ratio(a, b) == analysis.ratio(a, b)
    assert analysis.ratio(a, b).mean == pytest.approx(0.7)


def test_a_run_that_never_got_there_counts_as_infinite():
    results = [result("ours", 0, 30.0), result("ours", 1, None), result("trl", 0, 60.0), result("trl", 1, 60.0)]
    assert analysis.times(results, "ours") == [30.0, math.inf]
    assert analysis.ratio(analysis.times(results, "ours"), analysis.times(results, "trl")).high == math.inf


def test_table_and_picture(tmp_path):
    results = [result("ours", 0, 30.0, 3), result("trl", 0, 60.0, 6), result("trl", 1, None, 6), result("ours", 1, 40.0, 4)]
    text = analysis.markdown(results, {"ours": "a", "trl": "b"})
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    assert rows[0] == ["side", "settings", "seed 0", "seed 1", "median", "iterations", "tokens", "s an iteration"]
    assert rows[2] == ["this package", "a", "30.0 s", "40.0 s", "35.0 s", "4", "1,344", "10.00"]
    assert rows[3][2:4] == ["60.0 s", "> 60 s"]
    assert "this package ÷ TRL: 0.00" in text
    analysis.plot(results, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 5_000


def test_table_of_one_side_has_no_ratio():
    assert "÷" not in analysis.markdown([result("ours", 0, 30.0)], {"ours": "a"})


def test_the_goal_is_of_the_last_window_and_needs_a_full_one():
    curve = Curve(Task(replies=2, window=4, goal=0.9, cap_seconds=100.0))
    assert not curve.point([1.0, 1.0], ["a", "b"], 10)  # half a window
    assert not curve.point([0.5, 1.0], ["a", "b"], 10)
    assert curve.point([0.9, 1.0, 0.8], ["c", "d", "e"], 10)
    assert curve.points[-1]["running"] == pytest.approx(0.925)
    assert [point["tokens"] for point in curve.points] == [10, 20, 30]
    assert curve.samples == ["a", "a", "c"]


def test_a_run_that_takes_too_long_is_over_without_reaching_the_goal():
    curve = Curve(Task(cap_seconds=0.0))
    assert curve.point([], [], 0)
    assert not curve.reached


def test_reward_is_vaders_compound():
    good, bad, empty = compound(["I love it.", "I hate it.", ""])
    assert good == pytest.approx(0.6369) and bad == pytest.approx(-0.5719) and empty == 0


def test_prompts_are_those_that_the_environment_shows():
    import gymnasium as gym

    tokenizer = load_tokenizer("tiny")
    env = gym.make("lm_envs/SentimentTokens-v0", target="positive")
    seen = set()
    for seed in range(20):
        observation, _ = env.reset(seed=seed)
        seen.add(tuple(observation["input_ids"][: observation["attention_mask"].sum()].tolist()))
    assert seen <= set(map(tuple, prompts(ChatFormat(tokenizer))))


@pytest.mark.parametrize("shaping", [True, False])
def test_our_side_trains(shaping):
    settings = {"algorithm": "a2c", "learning_rate": 1e-3, "shaping": shaping}
    curve = ours.run(Task(**{**vars(TINY), "cap_seconds": 1.5}), settings, seed=0)
    assert len(curve.points) >= 2
    assert all(point["tokens"] == 24 * (number + 1) for number, point in enumerate(curve.points))
    assert sum(point["replies"] for point in curve.points) >= 4 * len(curve.points) - 4
    assert len(curve.samples) >= len(curve.points) - 1


def test_a_run_has_a_process_of_its_own_and_is_kept(tmp_path):
    path = tmp_path / "run.json"
    made = sweep.run(TINY, "ours", {"algorithm": "a2c"}, 0, path)
    assert json.loads(path.read_text()) == made
    assert made["seconds"] is None and len(made["points"]) == 1  # the cap is 0 s


@pytest.fixture
def trials(monkeypatch):
    """Two trials whose curves are made up: the run's settings are its seconds to the goal."""
    ran = []

    def train(_, task, side, settings, seed):
        ran.append((side, settings["takes"], seed, task.cap_seconds))
        late = settings["takes"] > task.cap_seconds
        made = result(side, seed, None if late else settings["takes"])
        return {name: made[name] for name in ("seconds", "tokens", "iterations", "points", "samples")}

    monkeypatch.setattr(
        sweep,
        "TRIALS",
        {"ours": {"slow": {"takes": 50.0}, "fast": {"takes": 20.0}}, "trl": {"only": {"takes": 40.0}, "late": {"takes": 60.0}}},
    )
    monkeypatch.setattr(sweep, "in_process", train)
    return ran


def test_best_trials_are_compared_in_turns_and_kept(trials, tmp_path):
    task, lines = Task(cap_seconds=100.0), []
    chosen, results = sweep.run_all(task, ("ours", "trl"), None, (0, 1), tmp_path, lines.append)
    assert chosen == {"ours": "fast", "trl": "only"}
    assert trials[:4] == [
        ("ours", 50.0, sweep.TUNING_SEED, 100.0),
        ("ours", 20.0, sweep.TUNING_SEED, 50.0),  # ended where it could win no more
        ("trl", 40.0, sweep.TUNING_SEED, 100.0),
        ("trl", 60.0, sweep.TUNING_SEED, 40.0),
    ]
    assert [(side, seed) for side, _, seed, _ in trials[4:]] == [("ours", 0), ("trl", 0), ("trl", 1), ("ours", 1)]
    assert len(results) == 4 and len(lines) == 8
    before = len(trials)
    again = sweep.run_all(task, ("ours", "trl"), None, (0, 1, 2), tmp_path, lines.append)
    assert again[1][:4] == results
    assert [(side, seed) for side, _, seed, _ in trials[before:]] == [("ours", 2), ("trl", 2)]


def test_command_writes_table_curves_and_summary(trials, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sweep, "check", lambda task, sides: None)
    assert main(["versus-trl", "--sides", "ours", "--seeds", "0", "1", "--cap-seconds", "100", "--out", str(tmp_path)]) == 0
    assert "20.0 s" in capsys.readouterr().out
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["chosen"] == {"ours": "fast"} and [row["seconds"] for row in summary["results"]] == [20.0, 20.0]
    assert {"table.md", "curves.png"} <= {path.name for path in tmp_path.iterdir()}
    assert main(["versus-trl", "--sides", "ours", "--cap-seconds", "5", "--out", str(tmp_path)]) == 1
    assert "raise --cap-seconds" in capsys.readouterr().err


def test_fewer_trials(trials, tmp_path):
    chosen, _ = sweep.run_all(Task(cap_seconds=100.0), ("ours",), 1, (0,), tmp_path, lambda line: None)
    assert chosen == {"ours": "slow"}


def test_no_trial_in_time_is_an_error(trials, tmp_path):
    with pytest.raises(RuntimeError, match="no trial of trl reached 0.9 in 30 s; raise --cap-seconds"):
        sweep.run_all(Task(cap_seconds=30.0), ("trl",), None, (0,), tmp_path, lambda line: None)


def test_other_settings_are_run_again(trials, tmp_path):
    path = tmp_path / "run.json"
    sweep.run(Task(), "ours", {"takes": 1.0}, 0, path)
    sweep.run(Task(), "ours", {"takes": 1.0}, 0, path)
    sweep.run(Task(), "ours", {"takes": 2.0}, 0, path)
    assert [takes for _, takes, _, _ in trials] == [1.0, 2.0]
    assert json.loads(path.read_text())["settings"] == {"takes": 2.0}


def test_sides_have_as_many_trials():
    assert len({len(trials) for trials in sweep.TRIALS.values()}) == 1


def test_our_trials_are_settings_that_make_knows():
    from agents import make

    for settings in sweep.TRIALS["ours"].values():
        arguments = {name: value for name, value in settings.items() if name not in ("algorithm", "lora", "shaping")}
        assert make(settings["algorithm"], "lm_envs/SentimentTokens-v0", n_envs=1, **arguments).learning_rate == settings["learning_rate"]


def test_missing_trl_is_one_line_that_names_the_extra(monkeypatch, capsys):
    monkeypatch.setattr(sweep, "find_spec", lambda name: None)
    assert main(["versus-trl", "--sides", "trl"]) == 1
    assert capsys.readouterr().err == 'error: trl is not installed: pip install "lm-envs[trl]"\n'


@pytest.mark.slow
def test_trls_trials_are_settings_that_it_knows(tmp_path):
    trl = pytest.importorskip("trl")

    for settings in sweep.TRIALS["trl"].values():
        arguments = {name: value for name, value in settings.items() if name != "lora"}
        assert trl.GRPOConfig(output_dir=str(tmp_path), bf16=False, use_cpu=True, **arguments).learning_rate == settings["learning_rate"]


@pytest.mark.slow
def test_trls_side_trains():
    pytest.importorskip("trl")
    from benchmarks.experiments.versus_trl import grpo

    curve = grpo.run(Task(**{**vars(TINY), "cap_seconds": 1.5}), {"learning_rate": 1e-3}, seed=0)
    assert len(curve.points) >= 2
    assert all(point["replies"] == 4 for point in curve.points)
    assert curve.samples
