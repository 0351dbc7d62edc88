from collections import Counter

import gymnasium as gym
import numpy as np
import pytest

from lm_envs import assets
from lm_envs.assets.hutto import RatedText
from lm_envs.envs.sentiment_classification import SentimentClassificationEnv, texts
from lm_envs.envs.sentiment_classification.labels import LABELS
from lm_envs.envs.sentiment_classification.scores import from_metrics
from lm_envs.envs.sentiment_classification.texts import DOMAINS, LabelledText
from lm_envs.testing import check_text_env, check_vector
from lm_envs.user_data import DataError
from lm_envs.validation import play
from tests.lm_envs.envs.documented import check_metrics
from tests.lm_envs.fetched import skipped_without

OWN = [
    (f"Text number {n} is {word}.", label) for n in range(10) for word, label in (("bad", "neg"), ("here", "Neutral"), ("good", "positive"))
]


def finish(env, *replies, seed=0):
    env.reset(seed=seed)
    total = 0.0
    for reply in replies:
        _, reward, terminated, truncated, info = env.step(reply)
        total += reward
    assert terminated and not truncated
    return total, info["metrics"]


# Texts.


def test_bundled_texts_are_many_balanced_and_disjoint():
    train, test = texts.bundled("train"), texts.bundled("test")
    assert len(train) + len(test) >= 200 and not {text.text for text in train} & {text.text for text in test}
    for part, each in ((train, 14), (test, 6)):
        assert Counter((text.domain, text.label) for text in part) == {(domain, label): each for domain in DOMAINS for label in LABELS}
    assert len({text.id for text in (*train, *test)}) == len(train) + len(test)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"food": {"train": {"neutral": ["x"]}}}, "unknown 'food'; known: film, product"),
        ({"film": {"dev": {"neutral": ["x"]}}}, "unknown 'dev'; known: train, test"),
        ({"film": {"train": {"mixed": ["x"]}}}, "unknown 'mixed'; known: negative"),
        ({"film": {"train": {"neutral": ["x"]}, "test": {"positive": ["x"]}}}, "'x' twice"),
    ],
)
def test_text_file_is_checked(monkeypatch, data, problem):
    monkeypatch.setattr(texts.json, "loads", lambda text: data)
    with pytest.raises(ValueError, match=problem):
        texts.bundled.__wrapped__("train")


@pytest.fixture
def rated(monkeypatch):
    found = tuple(
        RatedText(domain, f"{source}_{part}", f"{domain} {source} {part} is {rating}", rating)
        for domain in DOMAINS
        for source in range(40)
        for part, rating in enumerate((-2.0, -0.3, 0.5))
    )
    monkeypatch.setattr(assets, "hutto_texts", lambda: found)
    texts.hutto.cache_clear()
    yield found
    texts.hutto.cache_clear()


def test_rated_texts_are_labelled_by_rating_and_split_by_source(rated):
    train, test = texts.hutto("train"), texts.hutto("test")
    assert len(train) + len(test) == len(rated)
    for text in (*train, *test):
        assert text.label == {"-2.0": "negative", "-0.3": "neutral", "0.5": "positive"}[text.text.split()[-1]]
    sources = [{text.id.rsplit("_", 1)[0] for text in part} for part in (train, test)]
    assert not sources[0] & sources[1] and 0.1 < len(test) / len(rated) < 0.35


@pytest.mark.parametrize("domain", [*DOMAINS, ("news", "tweets")])
def test_rated_texts_by_domain(rated, domain):
    for split in ("train", "test"):
        env = SentimentClassificationEnv(data="hutto", domain=domain, split=split)
        assert {env.reset(seed=seed)[1]["scenario"].split("-")[1] for seed in range(40)} == {
            *([domain] if isinstance(domain, str) else domain)
        }


def test_a_text_in_both_splits_is_for_testing(monkeypatch):
    same = tuple(RatedText("film", str(n), "the same", 1.0) for n in range(40))
    monkeypatch.setattr(assets, "hutto_texts", lambda: same)
    texts.hutto.cache_clear()
    assert not texts.hutto("train") and texts.hutto("test")
    texts.hutto.cache_clear()


def test_rated_texts_that_cannot_be_had_are_one_error(monkeypatch, tmp_path):
    monkeypatch.setenv("LM_ENVS_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    texts.hutto.cache_clear()
    with pytest.raises(assets.AssetError, match="`python -m lm_envs assets fetch hutto` fetches it"):
        gym.make("lm_envs/SentimentClassification-v0", data="hutto")
    SentimentClassificationEnv().reset(seed=0)  # the default needs none


@pytest.mark.network
def test_real_rated_texts():
    texts.hutto.cache_clear()
    with skipped_without("hutto"):
        train, test = texts.hutto("train"), texts.hutto("test")
    assert len(train) > 18_000 and len(test) > 5000
    assert not {text.text for text in train} & {text.text for text in test}
    assert min(Counter((text.domain, text.label) for text in test).values()) > 80
    ours = {text.text.lower() for split in ("train", "test") for text in texts.bundled(split)}
    assert not ours & {text.text.lower() for text in (*train, *test)}
    env = SentimentClassificationEnv(data="hutto")
    assert finish(env, env.reset(seed=3) and env.expert_reply(), seed=3)[0] == 1


# A user's own data.


def test_own_data_are_used_and_split(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("review,stars\n" + "".join(f"{text},{label}\n" for text, label in OWN))
    columns = {"text": "review", "label": "stars"}
    for arguments in (
        {"data": OWN},
        {"data": path, "columns": columns},
        {"data": [dict(zip(("text", "label"), row, strict=True)) for row in OWN]},
    ):
        seen = {}
        for split in ("train", "test"):
            env = SentimentClassificationEnv(split=split, **arguments)
            seen[split] = {env.reset(seed=seed)[0][1]["content"] for seed in range(200)}
            assert finish(env, env.expert_reply(), seed=199)[1]["success"] == 1
        assert seen["train"] | seen["test"] == {text for text, _ in OWN} and not seen["train"] & seen["test"]


def test_own_data_keep_every_invariant():
    def make(**kwargs):
        return SentimentClassificationEnv(data=OWN, pieces=2, **kwargs)

    check_text_env(make)
    check_vector(make)


def test_a_batch_reads_own_data_once(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(f'{{"text": "{text}", "label": "{label}"}}\n' for text, label in OWN))
    first, *others = gym.make_vec("lm_envs/SentimentClassification-v0", num_envs=3, data=str(path)).unwrapped.envs
    assert all(env._texts is first._texts for env in others)


def test_wrong_data_are_refused(tmp_path):
    with pytest.raises(DataError, match="the data: 1 of 31 rows can't be used\n  row 31: label must be one of negative, .* got 'so-so'"):
        SentimentClassificationEnv(data=[*OWN, ("Well.", "so-so")])
    with pytest.raises(ValueError, match="the data have no neutral text in the train split; labels=2 leaves neutral ones out"):
        SentimentClassificationEnv(data=[row for row in OWN if row[1] != "Neutral"])
    assert SentimentClassificationEnv(data=[row for row in OWN if row[1] != "Neutral"], labels=2).labels == ("negative", "positive")
    with pytest.raises(ValueError, match="data must be one of 'bundled', 'hutto', a list, .*; got 'imdb'"):
        SentimentClassificationEnv(data="imdb")
    with pytest.raises(ValueError, match="columns are for data of your own"):
        SentimentClassificationEnv(columns={"text": "x"})


# The environment.


def test_documented_metrics_are_the_returned_ones():
    check_metrics(SentimentClassificationEnv)


@pytest.mark.parametrize("labels", [2, 3])
def test_guessing_and_one_answer_for_all_earn_nothing(labels):
    env = SentimentClassificationEnv(labels=labels)
    count = 1500
    for reply in env.labels:
        rewards = [finish(env, reply, seed=seed)[0] for seed in range(count)]
        assert set(rewards) == {1.0, -1 / (labels - 1)} and abs(np.mean(rewards)) < 0.08
    assert abs(np.mean([play(env, "random", seed=seed).reward for seed in range(count)])) < 0.08
    for player, reward in (("expert", 1), ("noop", 0)):
        assert {play(env, player, seed=seed).reward for seed in range(50)} == {reward}


def test_episodes_make_scores():
    env = SentimentClassificationEnv(split="test")
    for player, accuracy in (("expert", 1), ("noop", 0)):
        found = from_metrics(play(env, player, seed=seed).metrics for seed in range(60))
        assert (found.count, found.accuracy, found.macro_f1, found.answered) == (60, accuracy, accuracy, accuracy)


def test_the_label_is_told_only_at_the_end():
    env = SentimentClassificationEnv(pieces=3)
    _, info = env.reset(seed=1)
    assert info["metrics"]["label"] == -1
    assert env.step("more")[4]["metrics"]["label"] == -1
    _, _, _, _, info = env.step(env.expert_reply())
    assert LABELS[int(info["metrics"]["label"])] == env.expert_reply() == LABELS[int(info["metrics"]["predicted"])]


def test_two_labels_leave_neutral_out():
    env = SentimentClassificationEnv(labels=2)
    messages, _ = env.reset(seed=0)
    assert "neutral" not in messages[0]["content"]
    assert {env.reset(seed=seed) and env.expert_reply() for seed in range(40)} == {"negative", "positive"}
    assert finish(env, "neutral") == (0.0, {**finish(env, "neutral")[1], "answered": 0.0, "predicted": -1.0})


TEXT = [
    LabelledText("a", "one two three  four five six seven", "neutral", ""),
    *(LabelledText(x, "x", x, "") for x in ("negative", "positive")),
]


def reading(**arguments):
    env = SentimentClassificationEnv(data=tuple(TEXT), **arguments)
    seed = next(seed for seed in range(100) if env.reset(seed=seed) and env.expert_reply() == "neutral")
    return env, seed


def test_pieces_are_read_at_a_price():
    env, seed = reading(pieces=3, more_cost=0.1)
    messages, info = env.reset(seed=seed)
    assert messages[1]["content"] == "one two three" and info["metrics"]["read"] == 3 / 7 and env.can_read_on
    messages, reward, terminated, _, info = env.step("More, please.")
    assert (messages[-1]["content"], reward, terminated, info["metrics"]["read"]) == ("four five", -0.1, False, 5 / 7)
    assert env.shown == "one two three four five"
    messages, reward, terminated, _, info = env.step("hm")
    assert messages[-1]["content"] == "Answer with negative, neutral, positive or more." and reward == -0.1 and not env.can_read_on
    _, reward, terminated, _, info = env.step("more")
    assert reward == 0 and terminated and info["metrics"] | {"turns": 0} == {
        "success": 0, "answered": 0, "predicted": -1, "label": 1, "read": 5 / 7, "turns": 0,
    }  # fmt: skip
    assert finish(env, "more", "neutral", seed=seed)[0] == pytest.approx(0.9)


def test_nothing_is_left_to_read():
    env, seed = reading(pieces=2, max_turns=5)
    env.reset(seed=seed)
    env.step("more")
    messages, reward, terminated, *_ = env.step("more")
    assert (
        messages[-1]["content"] == "That is the whole text. Answer with negative, neutral or positive."
        and reward == -0.05
        and not terminated
    )
    env, seed = reading(max_turns=2)
    assert finish(env, "what?", "neutral", seed=seed)[0] == pytest.approx(0.95)


def test_wrong_arguments_are_refused():
    for arguments, problem in (
        ({"labels": 4}, "labels must be one of 2, 3"),
        ({"pieces": 0}, "pieces must be an integer of at least 1"),
        ({"more_cost": 2}, r"more_cost must be a number in \[0, 1\]; got 2"),
        ({"more_cost": True}, "more_cost"),
        ({"domain": "books"}, "domain must be one of 'film', 'news', 'product', 'tweets'; got 'books'"),
    ):
        with pytest.raises(ValueError, match=problem):
            SentimentClassificationEnv(**arguments)
    with pytest.raises(ValueError, match="no options; got 'label'"):
        SentimentClassificationEnv().reset(options={"label": "positive"})
    with pytest.raises(TypeError, match="'topic'; known arguments:.*pieces"):
        SentimentClassificationEnv(topic="film")
