"""What runs: every classifier on every domain's test episodes; the learning ones trained on each domain, too."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from benchmarks.experiments.sentiment_classification.classifiers import CLASSIFIERS, LEARNING, Predict
from lm_envs.envs.sentiment_classification import SentimentClassificationEnv
from lm_envs.envs.sentiment_classification.labels import LABELS
from lm_envs.envs.sentiment_classification.scores import Scores, from_metrics
from lm_envs.envs.sentiment_classification.texts import DOMAINS, load

EVERYWHERE = "all"


@dataclass(frozen=True)
class Study:
    """What is measured.

    Attributes:
        data: the environment's.
        labels: how many, the environment's.
        episodes: of each test domain, seeds 0 to ``episodes - 1``; labels are drawn evenly.
        classifiers: names in ``CLASSIFIERS``.
    """

    data: str = "hutto"
    labels: Literal[2, 3] = 3
    episodes: int = 2000
    classifiers: tuple[str, ...] = tuple(CLASSIFIERS)


@dataclass(frozen=True)
class Result:
    """How a classifier does on a domain's test episodes.

    Attributes:
        classifier: its name.
        trained: the domain of its training texts, or ``"all"``.
        tested: the domain of the episodes.
        reward: the mean.
        scores: of the episodes.
    """

    classifier: str
    trained: str
    tested: str
    reward: float
    scores: Scores


def run(study: Study, report: Callable[[str], Any] = lambda line: None) -> list[Result]:
    """All results; each classifier trained on all domains, the learning ones on each as well.

    Raises:
        AssetError: when the data or a model can't be had.
        ImportError: without torch, for ``"minilm"``.
    """
    offered = [number for number, label in enumerate(LABELS) if study.labels == 3 or label != "neutral"]
    training = [text for text in load(study.data, "train") if LABELS.index(text.label) in offered]
    envs = {
        domain: SentimentClassificationEnv(data=study.data, labels=study.labels, domain=domain, split="test", max_turns=1)
        for domain in DOMAINS
    }
    results = []
    for name in study.classifiers:
        for trained in (EVERYWHERE, *(DOMAINS if name in LEARNING else ())):
            began = time.perf_counter()
            chosen = [text for text in training if trained in (EVERYWHERE, text.domain)]
            labels = np.array([LABELS.index(text.label) for text in chosen])
            predict = CLASSIFIERS[name]([text.text for text in chosen], labels, offered)
            results += [Result(name, trained, domain, *play(env, predict, study.episodes)) for domain, env in envs.items()]
            report(f"{name}, trained on {trained} ({len(chosen):,} texts): {time.perf_counter() - began:.0f} s")
    return results


def play(env: SentimentClassificationEnv, predict: Predict, episodes: int) -> tuple[float, Scores]:
    """Mean reward and scores of a classifier as the agent of episodes of one turn, all of whose texts it reads at once."""
    texts = [env.reset(seed=seed)[0][1]["content"] for seed in range(episodes)]
    rewards, metrics = [], []
    for seed, number in enumerate(predict(texts)):
        env.reset(seed=seed)
        _, reward, _, _, info = env.step(LABELS[number])
        rewards.append(reward)
        metrics.append(info["metrics"])
    return float(np.mean(rewards)), from_metrics(metrics)


def of(results: Sequence[Result], classifier: str, trained: str, tested: str) -> Result:
    """The result of a classifier trained on one domain, or ``"all"``, and tested on one."""
    return next(one for one in results if (one.classifier, one.trained, one.tested) == (classifier, trained, tested))
