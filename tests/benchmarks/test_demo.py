import json

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.experiments.demo.analysis import completions, markdown, summarise
from benchmarks.experiments.sentiment_judge import agreement
from benchmarks.statistics import nested_bootstrap


def result(algorithm, seed, before, after):
    def episodes(values):
        return {"episodes": [{"reward": v, "metrics": {"success": v > 0}, "prompt": "p", "replies": ["\x1b[31mhi"]} for v in values]}

    kl = {"per_token": {"mean": 0.5}}
    return {
        "algorithm": algorithm,
        "seed": seed,
        "tokens": 100,
        "seconds": 2,
        "curve": [(50, 0.1), (100, 0.2)],
        "before": episodes(before),
        "after": episodes(after),
        "kl": kl,
    }


def test_a_short_demo_from_end_to_end(tmp_path, capsys):
    out = tmp_path / "demo"
    arguments = ["--out", str(out), "--algorithms", "ppo", "a2c", "--seeds", "0", "--tokens", "1", "--episodes", "4"]
    assert main(["demo", *arguments]) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert [row["algorithm"] for row in summary["rows"]] == ["ppo", "a2c"]
    assert summary["rows"][0]["reward after"]["low"] <= summary["rows"][0]["reward after"]["mean"]
    assert (out / "learning_curves.png").read_bytes().startswith(b"\x89PNG")
    assert "before" in (out / "completions.txt").read_text()
    assert (out / "ppo-0/model/model.safetensors").exists() and (out / "a2c-0/result.json").exists()
    assert "success gain" in " ".join(capsys.readouterr().out.split())


def test_an_error_in_a_run_ends_the_demo(tmp_path):
    with pytest.raises(ValueError, match="episodes"):
        from benchmarks.experiments.demo.sweep import Study, run_all

        run_all(Study(algorithms=("ppo",), seeds=(0,), tokens=1, episodes=0), tmp_path)


def test_gains_are_paired():
    rows = summarise([result("ppo", seed, [0.0, 1.0, -1.0], [0.5, 1.5, -0.5]) for seed in (0, 1)])
    gain = rows[0]["reward gain"]
    assert (gain.mean, gain.low, gain.high) == (0.5, 0.5, 0.5)
    assert rows[0]["tokens/s"] == 50 and rows[0]["seeds"] == 2
    assert "| seeds | 2 |" in markdown(rows)


def test_completions_are_escaped():
    assert "\x1b" not in completions([result("ppo", 0, [0.0], [1.0])])


def test_the_bootstrap_covers_what_differs_between_runs():
    rng = np.random.default_rng(0)
    same = rng.normal(size=(4, 200))
    apart = same + np.array([[-2.0], [-1.0], [1.0], [2.0]])
    narrow, wide = nested_bootstrap(same, rng), nested_bootstrap(apart, rng)
    assert narrow.low < narrow.mean < narrow.high
    assert wide.high - wide.low > 5 * (narrow.high - narrow.low)


def test_agreement():
    ratings = np.array([-3.0, -2.0, 0.0, 2.0, 3.0])
    right = agreement(ratings, ratings / 4, 0.1)
    assert right["spearman"] == pytest.approx(1) and right["auc"] == 1 and right["accuracy"] == 1 and right["committed"] == 1
    wrong = agreement(ratings, -ratings / 4, 0.6)
    assert wrong["spearman"] == pytest.approx(-1) and wrong["auc"] == 0 and wrong["accuracy"] == 0 and wrong["committed"] == 0.5


@pytest.mark.parametrize("arguments", [[], ["demo", "--tokens", "0"], ["demo", "--algorithms", "dqn"], ["nothing"]])
def test_wrong_arguments_end_with_a_line(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2 and "Traceback" not in capsys.readouterr().err
