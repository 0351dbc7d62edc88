"""Conversations to read: the same customers with the expert, with each arm's start, and after PPO."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.experiments.service.study import CUSTOMERS, Study, text_env
from lm_envs.core import TextEnv

PERSONAS = {
    "patient": "ordinary", "abusive": "adversarial", "injector": "adversarial",
    "serene": "ordinary, new phrases", "foulmouthed": "adversarial, new phrases", "hacker": "adversarial, new phrases",
}  # fmt: skip
"""Of each split a patient one, an abusive one, and one who injects instructions; and among which customers they are."""


def samples(study: Study, results: Sequence[Mapping[str, Any]]) -> str:
    """For each persona the first customer that judged the runs of the first seed, as text; contents are escaped."""
    first = min(result["what"]["seed"] for result in results)
    runs = [result for result in results if result["what"]["seed"] == first]
    parts = []
    for persona, kind in PERSONAS.items():
        env = text_env(study, True, **CUSTOMERS[kind]._asdict(), render_mode="ansi").unwrapped
        assert isinstance(env, TextEnv)
        seed = _first(env, persona, [episode["seed"] for episode in runs[0]["before"][kind]])
        if seed is None:
            continue
        parts += [f"== {persona}, {CUSTOMERS[kind].split} split, expert (customer {seed})", _replay(env, seed, None)]
        for run in runs:
            for when in ("before", "after"):
                episode = next(episode for episode in run[when][kind] if episode["seed"] == seed)
                title = f"== {persona}, {CUSTOMERS[kind].split} split, {run['what']['arm']}, {'start' if when == 'before' else 'after PPO'}"
                parts += [title, _replay(env, seed, iter(episode["replies"]))]
    return "\n".join(parts)


def _first(env: TextEnv, persona: str, seeds: Sequence[int]) -> int | None:
    for seed in seeds:
        env.reset(seed=seed)
        if env.scenario.persona["name"] == persona:  # type: ignore[attr-defined]
            return seed
    return None


def _replay(env: TextEnv, seed: int, replies: Iterator[str] | None) -> str:
    """The transcript of a customer with these replies, or the expert's; the system message is left out."""
    env.reset(seed=seed)
    over = False
    while not over:
        reply = env.expert_reply() if replies is None else next(replies, None)
        if reply is None:  # the context was full
            break
        _, _, terminated, truncated, _ = env.step(reply)
        over = terminated or truncated
    shown = str(env.render())
    return shown[max(0, shown.find("\nuser: ") + 1) :]
