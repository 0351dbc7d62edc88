import numpy as np
import pytest

from agents.rlhf import sweep
from agents.rlhf.arguments import RLHFArgs
from agents.rlhf.card import card
from agents.rlhf.judge import difference


def result(proxy, gold, perplexity, episodes=64, seed=0):
    """What the judge keeps, of episodes with these means."""
    rng = np.random.default_rng(seed)
    estimate = {name: {"mean": value, "low": value, "high": value} for name, value in (("proxy", proxy), ("gold", gold), ("kl", 0.1))}
    rows = [{"proxy": float(proxy + 0.1 * x), "gold": float(y < gold), "perplexity": perplexity} for x, y in rng.random((episodes, 2))]
    found = {**estimate, "perplexity": {"mean": perplexity}, "episodes": rows, "samples": []}
    return {"choosing": found, "held out": found}


def test_more_proxy_with_less_ground_truth_has_parted():
    results = {0.0: result(0.9, 0.3, 3.0), 0.1: result(0.6, 0.9, 2.2), 0.2: result(0.4, 0.8, 2.1)}
    (line,) = sweep.parted(results)
    assert line.startswith("beta 0: proxy and ground truth have parted: beside beta 0.1 the proxy is +0.3")


@pytest.mark.parametrize("first", [result(0.9, 0.95, 3.0), result(0.5, 0.3, 3.0), result(0.9, 0.9, 3.0)])
def test_else_they_have_not(first):
    assert sweep.parted({0.0: first, 0.1: result(0.6, 0.9, 2.2)}) == []


def test_the_best_judged_of_the_fluent_is_chosen():
    start = result(0.1, 0.4, 2.0)
    results = {0.0: result(0.9, 0.95, 3.5), 0.1: result(0.7, 0.8, 2.9), 0.2: result(0.5, 0.8, 2.1), 0.3: result(0.4, 0.5, 2.0)}
    assert sweep.choose(results, start, 1.5) == (0.2, True)  # of two that are judged alike, the one nearer to the start
    assert sweep.choose(results, start, 2.0) == (0.0, True)
    assert sweep.choose(results, start, 1.0) == (0.3, True)
    assert sweep.choose({0.0: results[0.0], 0.1: results[0.1]}, start, 1.0) == (0.1, False)


def test_differences_are_over_the_same_prompts():
    one, other = result(0.5, 0.5, 2.0)["held out"], result(0.3, 0.5, 2.0)["held out"]
    found = difference(one, other, "proxy")
    assert (found.mean, found.low, found.high) == (pytest.approx(0.2), pytest.approx(0.2), pytest.approx(0.2))


def test_no_text_breaks_out_of_the_card():
    start, tuned = result(0.1, 0.4, 2.0), result(0.7, 0.8, 2.2)
    nasty = "\n# Title\n```\n<script>alert(1)</script>\x1b[31m\u202e | ` "
    tuned["held out"]["samples"] = [{"prompt": nasty, "replies": [nasty, nasty]}]
    args = RLHFArgs(model=f"m`{nasty}", env_kwargs={"domain": nasty}, reward=nasty, ppo={"x": nasty})
    text = card(args, 0.1, start, {0.1: tuned}, {}, {"reward": nasty}, [])
    lines = text.splitlines()
    assert [line for line in lines if line.startswith("#")] == [
        lines[7], "## Training", "## Scores", "## Where proxy and ground truth parted", "## Samples", "## Arguments"
    ]  # fmt: skip
    assert "\x1b" not in text and "\u202e" not in text
    for line in lines:
        if "<script>" in line and not line.startswith("    "):  # else it is code by its indentation
            assert line.count("`") % 2 == 0 and all("<script>" not in part for part in line.split("`")[::2])
