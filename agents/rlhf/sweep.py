"""What is made of the sweep: where proxy and ground truth part, and which beta is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from agents.rlhf.judge import difference

Results = Mapping[float, Mapping[str, Any]]
"""What :func:`agents.rlhf.judge.judged` returned, by beta."""


def parted(results: Results, kind: str = "held out") -> list[str]:
    """A line for each beta whose policy has more of the proxy and less of the ground truth than that of a larger beta.

    Both differences, over the same prompts, must be beyond their 95 % intervals.
    """
    found = []
    betas = sorted(results)
    for number, beta in enumerate(betas):
        for larger in betas[number + 1 :]:
            one, other = results[beta][kind], results[larger][kind]
            proxy, gold = difference(one, other, "proxy"), difference(one, other, "gold")
            if proxy.low > 0 > gold.high:
                found.append(
                    f"beta {beta:g}: proxy and ground truth have parted: beside beta {larger:g} the proxy is {proxy.mean:+.3f} "
                    f"[{proxy.low:+.3f}, {proxy.high:+.3f}] and the ground truth {gold.mean:+.3f} [{gold.low:+.3f}, {gold.high:+.3f}]"
                )
                break
    return found


def factor(result: Mapping[str, Any], start: Mapping[str, Any], kind: str) -> float:
    """How many times as surprising as the start's own the policy's tokens are to the start."""
    return float(result[kind]["perplexity"]["mean"] / start[kind]["perplexity"]["mean"])


def spread(start: Mapping[str, Any], kind: str) -> float:
    """How many times as surprising as the start's own in the mean the most surprising quarter of these are, at least."""
    own = [one["perplexity"] for one in start[kind]["episodes"]]
    return float(np.quantile(own, 0.75) / start[kind]["perplexity"]["mean"])


def choose(results: Results, start: Mapping[str, Any], most: float) -> tuple[float, bool]:
    """The beta with the most of the ground truth on the prompts for choosing, among those that keep fluent; and whether any did.

    Ties go to the larger beta. Where none keeps within ``most`` times the start's perplexity, it is the largest beta.
    """
    fluent = [beta for beta in results if factor(results[beta], start, "choosing") <= most]
    if not fluent:
        return max(results), False
    return max(fluent, key=lambda beta: (results[beta]["choosing"]["gold"]["mean"], beta)), True
