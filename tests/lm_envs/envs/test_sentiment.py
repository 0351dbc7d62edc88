import re
from collections import Counter

import gymnasium as gym
import numpy as np
import pytest

from lm_envs import assets, rewards
from lm_envs.assets.hutto import RatedText
from lm_envs.envs.sentiment import SentimentEnv, grammar, prompts
from lm_envs.envs.sentiment import judge as judging
from lm_envs.envs.sentiment.diversity import distinct
from lm_envs.envs.sentiment.grammar import FORMS, MAX_WORDS, continuation
from lm_envs.envs.sentiment.judge import CLEAR, judge, repetition, word_list
from lm_envs.testing import check_text_env, check_vector
from lm_envs.user_data import DataError
from tests.lm_envs.envs.documented import check_metrics
from tests.lm_envs.fetched import skipped_without


def vader(text, target="positive"):
    from lm_envs.types import Exchange

    exchange = Exchange(messages=({"role": "assistant", "content": text},), scenario={"id": "x", "target": target})
    return rewards.score(rewards.resolve("vader"), [exchange])[0].total


def finish(env, reply, seed=0):
    env.reset(seed=seed)
    _, reward, terminated, truncated, info = env.step(reply)
    assert (terminated, truncated) == (True, False)
    return reward, info["metrics"]


# The judge.


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("was wonderful", 1),
        ("was not good at all", -1),
        ("wasn't bad", 1),
        ("It isn\u2019t fun.", -1),
        ("is never boring", 1),
        ("nobody enjoyed it", -1),
        ("was well made, but it fell apart after a week", -1),
        ("was ugly, but I love it", 1),
        ("although the room was dirty, we had a great time", 1),
        ("The worst hours of my life", -1),
        ("hated every minute", -1),
        ("the happiest, prettiest, loveliest day", 1),
        ("a waste of time", -1),
        ("I would not recommend this", -1),
        ("to die for", 0),
        ("was about two hours long", 0),
        ("", 0),
        ("🙂 مرحبا 今日は", 0),
    ],
)
def test_judge_finds_the_polarity(text, sign):
    assert np.sign(judge(text).score) == sign


def test_judge_weighs_degree_contrast_and_negation():
    assert judge("was very good").score > judge("was good").score > judge("was fairly good").score > 0
    assert judge("was great").score > judge("was good").score
    assert judge("not good").score > judge("not good, awful").score
    assert 0 < judge("not bad").score < judge("good").score
    assert judge("good, but bad").score < 0 < judge("bad, but good").score


def test_saying_it_again_adds_nothing():
    assert judge("great great great great").score == judge("great").score
    assert judge("great, greater, greatest. So great.").score <= judge("great, greatest, so great").score


def test_stuffing_and_words_are_counted():
    assert judge("great wonderful superb").stuffing == 1
    found = judge("the food was good")
    assert (found.stuffing, found.words) == (0.25, 4)


@pytest.mark.parametrize("unit", ["good ", "not ", "a, but ", "-", "'", "very very", "x'", "'n-", "\u0000", "but good, ", "no good but "])
def test_judge_reads_very_long_text(unit):
    text = (unit * 100_000)[:100_000]
    found = judge(text)
    assert -1 <= found.score <= 1 and 0 <= found.stuffing <= 1
    assert 0 <= repetition(text) <= 1


def test_repetition_counts_bigrams_said_before():
    assert repetition("the film was good") == 0
    assert repetition("so good so good so good") == 3 / 5
    assert repetition("the film was good", before="We saw the film") == 1 / 3
    assert repetition("good") == 0


def test_distinct_counts_different_ngrams_over_all_texts():
    assert distinct(["good good film"], 1) == 2 / 3
    assert distinct(["good good film"], 2) == 1
    assert distinct(["The film!", "the FILM."], 1) == 0.5
    assert distinct(["the film", "film the"], 2) == 1  # no pair across two texts
    assert distinct([], 1) == distinct(["one"], 2) == distinct([""], 1) == 0
    with pytest.raises(ValueError, match="at least 1"):
        distinct(["x"], 0)


def test_judge_file_is_its_own_and_checked(monkeypatch):
    words = word_list()
    assert len(words.valences) > 1000
    assert set(words.valences.values()) == {-2, -1, 0, 1, 2}
    data = {"valences": {"1": ["good good"]}, "phrases": {}}
    monkeypatch.setattr(judging.json, "loads", lambda text: data)
    with pytest.raises(ValueError, match="'good' twice"):
        word_list.__wrapped__()
    data["valences"] = {"3": ["good"]}
    with pytest.raises(ValueError, match="valence 3"):
        word_list.__wrapped__()


# Prompts.


def test_bundled_prompts_are_neutral_disjoint_and_short():
    train, test = prompts.bundled("train"), prompts.bundled("test")
    assert len(train) == 110 and len(test) == 70
    assert not {p.text for p in train} & {p.text for p in test}
    assert {p.domain for p in train} == {p.domain for p in test} == set(grammar.grammar()) - {grammar.ANYTHING}
    for prompt in (*train, *test):
        assert judge(prompt.text).score == 0, prompt
        assert vader(prompt.text) == 0, prompt
        assert len(prompt.text.split()) <= 12


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"food": {}}, "unknown domain 'food'"),
        ({"film": {"train": {"noun": ["A film"]}}}, "unknown form 'noun'"),
        ({"film": {"train": {"subject": ["A film"]}, "test": {"subject": ["A film"]}}}, "'A film' twice"),
    ],
)
def test_prompt_file_is_checked(monkeypatch, data, problem):
    grammar.grammar()
    monkeypatch.setattr(prompts.json, "loads", lambda text: data)
    with pytest.raises(ValueError, match=problem):
        prompts.bundled.__wrapped__("train")


def test_prompt_of_few_words_fits_a_small_context():
    messages, _ = SentimentEnv().reset(seed=0)
    assert [message["role"] for message in messages] == ["system", "user"]
    assert len(messages[0]["content"].split()) <= 25
    assert sum(len(message["content"].split()) for message in messages) <= 25


@pytest.fixture
def reviews(monkeypatch):
    texts = tuple(
        RatedText(domain, f"{review}_{part}", " ".join(f"{domain}{review}w{n}" for n in range(length)), 0.0)
        for domain in DOMAINS
        for review in range(40)
        for part, length in ((1, 9), (2, 20), (3, 5), (4, 60))
    )
    monkeypatch.setattr(assets, "hutto_texts", lambda: texts)
    prompts.hutto.cache_clear()
    yield texts
    prompts.hutto.cache_clear()


DOMAINS = ("film", "product", "tweets", "news")


def test_hutto_prompts_are_first_halves_of_texts_split_by_review(reviews):
    train, test = prompts.hutto("train"), prompts.hutto("test")
    whole = {text.text for text in reviews}
    assert {prompt.domain for prompt in train} == {prompt.domain for prompt in test} == set(DOMAINS)
    for prompt in (*train, *test):
        assert any(text.startswith(prompt.text + " ") for text in whole)
        assert len(prompt.text.split()) in (4, 10)
    sources = [{prompt.id.rsplit("_", 1)[0] for prompt in part} for part in (train, test)]
    assert not sources[0] & sources[1]
    assert len(train) + len(test) == 4 * 40 * 2
    assert 0.1 < len(test) / (len(train) + len(test)) < 0.35


def test_hutto_episode(reviews):
    env = SentimentEnv(prompts="hutto", split="test", target="negative")
    messages, _ = env.reset(seed=1)
    assert messages[1]["content"] in {prompt.text for prompt in prompts.hutto("test")}
    *_, info = env.step(env.expert_reply())
    assert info["metrics"]["success"] == 1


def test_an_opening_in_both_splits_is_for_testing(monkeypatch):
    words = "the same nine words in every one of them"
    texts = tuple(RatedText("news", f"{article}_1", words, 0.0) for article in range(40))
    monkeypatch.setattr(assets, "hutto_texts", lambda: texts)
    prompts.hutto.cache_clear()
    assert not prompts.hutto("train") and prompts.hutto("test")
    prompts.hutto.cache_clear()


@pytest.mark.parametrize("domain", [*DOMAINS, ("tweets", "news")])
def test_hutto_prompts_by_domain(reviews, domain):
    env = SentimentEnv(prompts="hutto", domain=domain, target="positive")
    for seed in range(20):
        _, info = env.reset(seed=seed)
        assert info["scenario"].split("-")[1] in domain
        assert env.step(env.expert_reply())[4]["metrics"]["success"] == 1


def test_bundled_prompts_by_domain():
    texts = {prompt.text for prompt in prompts.bundled("test") if prompt.domain == "hotel"}
    env = SentimentEnv(domain="hotel", split="test")
    assert {env.reset(seed=seed)[0][1]["content"] for seed in range(80)} == texts
    with pytest.raises(ValueError, match="domain must be one of 'book', .*'service'; got 'moon'"):
        SentimentEnv(domain="moon")
    with pytest.raises(ValueError, match="domain must name at least one"):
        SentimentEnv(domain=[])


# A user's own prompts.


def test_own_prompts_are_used_and_split(tmp_path):
    texts = [f"The {thing} that we saw" for thing in "sun moon sea lake hill road tree".split()] + ["I saw it."]
    path = tmp_path / "mine.csv"
    path.write_text("sentence,domain\n" + "".join(f"{text},{'sky' if n < 4 else 'earth'}\n" for n, text in enumerate(texts)))
    for arguments in ({"prompts": texts}, {"prompts": str(path), "columns": {"text": "sentence"}}):
        seen = {}
        for split in ("train", "test"):
            env = SentimentEnv(split=split, target="negative", **arguments)
            seen[split] = {env.reset(seed=seed)[0][1]["content"] for seed in range(60)}
            assert env.step(env.expert_reply())[4]["metrics"]["success"] == 1
        assert seen["train"] | seen["test"] == set(texts) and not seen["train"] & seen["test"]
    env = SentimentEnv(prompts=path, columns={"text": "sentence"}, domain="earth")
    assert {env.reset(seed=seed)[0][1]["content"] for seed in range(60)} <= set(texts[4:])
    with pytest.raises(ValueError, match="the data tell no domains apart"):
        SentimentEnv(prompts=texts, domain="earth")


def test_own_prompts_keep_every_invariant():
    texts = [f"Number {n} was" for n in range(50)]

    def make(**kwargs):
        return SentimentEnv(prompts=texts, **kwargs)

    check_text_env(make)
    check_vector(make)


def test_a_batch_reads_own_prompts_once(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(f'{{"opening": "Number {n}"}}\n' for n in range(10)))
    envs = gym.make_vec("lm_envs/Sentiment-v0", num_envs=3, prompts=str(path), columns={"text": "opening"}, domain=None)
    first, *others = envs.unwrapped.envs
    assert all(env._prompts is first._prompts for env in others)


def test_wrong_prompts_are_refused_by_line(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("text\nfine\n \n")
    with pytest.raises(DataError, match=r"mine.csv: 1 of 2 rows can't be used\n  line 3: text is empty"):
        SentimentEnv(prompts=path)
    with pytest.raises(ValueError, match="columns are for data of your own"):
        SentimentEnv(columns={"text": "x"})


def test_hutto_raises_when_it_cannot_be_had(monkeypatch):
    def fail():
        raise assets.AssetError("no network")

    prompts.hutto.cache_clear()
    monkeypatch.setattr(assets, "hutto_texts", fail)
    with pytest.raises(assets.AssetError, match="no network"):
        SentimentEnv(prompts="hutto")
    SentimentEnv().reset(seed=0)  # the default needs none


@pytest.mark.network
def test_real_hutto_prompts():
    prompts.hutto.cache_clear()
    with skipped_without("hutto"):
        train, test = prompts.hutto("train"), prompts.hutto("test")
    assert len(train) > 14_000 and len(test) > 3000
    assert not {prompt.text for prompt in train} & {prompt.text for prompt in test}
    assert not {prompt.id for prompt in train} & {prompt.id for prompt in test}


# The grammar.


def test_grammar_words_have_the_polarity_they_are_listed_under():
    for domain, symbols in grammar.grammar().items():
        for symbol, sign in (("adj+", 1), ("adj-", -1), ("good", 1), ("bad", -1), ("happy", 1), ("unhappy", -1), ("joy", 1), ("pain", -1)):
            for word in symbols[symbol]:
                assert sign * judge(word).score > 0, (domain, symbol, word)
        for symbol in ("part", "whose", "unit", "neu.predicate", "neu.clause"):
            for text in symbols[symbol]:
                assert judge(text).score == 0 and abs(vader(text)) < 0.1, (domain, symbol, text)


@pytest.mark.parametrize("polarity", ["pos", "neg", "neu", "mixed"])
@pytest.mark.parametrize("form", FORMS)
def test_continuations_have_their_polarity(polarity, form):
    rng = np.random.default_rng(0)
    for domain in (*grammar.grammar(), "no such domain"):
        texts = [continuation(domain, form, polarity, rng) for _ in range(40)]
        scores = np.array([judge(text).score for text in texts])
        assert all("{" not in text and "<" not in text and len(text.split()) <= MAX_WORDS and text.endswith(".") for text in texts)
        assert not any(re.search(r"\ba [aeio]", text) for text in texts)
        if polarity in ("pos", "neg"):
            assert np.mean(np.sign(scores) == (1 if polarity == "pos" else -1)) > 0.95
        elif polarity == "neu":
            assert not scores.any()
        if form == "plural":
            assert not any(text.startswith("was ") for text in texts)


def test_grammar_is_rich():
    rng = np.random.default_rng(0)
    for polarity in ("pos", "neg", "neu"):
        assert len({continuation("film", "subject", polarity, rng) for _ in range(400)}) > 250


def test_grammar_file_is_checked(monkeypatch):
    data = {"shared": {}, "film": {"a": ["{b}"]}}
    monkeypatch.setattr(grammar.json, "loads", lambda text: {key: dict(value) for key, value in data.items()})
    with pytest.raises(ValueError, match="no film.b"):
        grammar.grammar.__wrapped__()
    data["film"] = {"a": ["x", "x"]}
    with pytest.raises(ValueError, match="film.a lists an alternative twice"):
        grammar.grammar.__wrapped__()


# The environment.


def test_contract():
    check_text_env(SentimentEnv)
    check_vector(SentimentEnv)


def test_documented_metrics_are_the_returned_ones():
    check_metrics(SentimentEnv)


@pytest.mark.parametrize("split", ["train", "test"])
def test_players_score_as_published(split):
    env, rng, count = SentimentEnv(split=split), np.random.default_rng(0), 200
    players = {"expert": env.expert_reply, "random": lambda: env.random_reply(rng), "noop": lambda: env.noop_reply}
    mean = {}
    for name, player in players.items():
        played = []
        for seed in range(count):
            env.reset(seed=seed)
            _, reward, *_, info = env.step(player())
            played.append((reward, info["metrics"]["success"], info["metrics"]["length"]))
        mean[name] = np.mean(played, axis=0)
    assert mean["expert"][0] > 0.8 and mean["expert"][1] == 1 and 8 <= mean["expert"][2] <= MAX_WORDS
    assert abs(mean["random"][0]) < 0.15 and 0.25 < mean["random"][1] < 0.5
    assert tuple(mean["noop"]) == (0, 0, 0)


def test_target_is_told_and_kept():
    for target in ("positive", "negative"):
        env = SentimentEnv(target=target)
        for seed in range(5):
            messages, _ = env.reset(seed=seed)
            assert f"sounds {target}" in messages[0]["content"]
    both = Counter(SentimentEnv().reset(seed=seed)[0][0]["content"] for seed in range(100))
    assert len(both) == 2 and min(both.values()) > 30


def test_scenario_does_not_depend_on_the_target_argument():
    openings = {SentimentEnv(target=target).reset(seed=5)[0][1]["content"] for target in ("positive", "negative", "both")}
    assert len(openings) == 1


@pytest.mark.parametrize(
    "reply",
    [
        "great " * 20,
        "great wonderful superb excellent lovely",
        "good and bad and good and bad and good and bad",
        "The film was good. " * 8,
        "not bad " * 10,
    ],
    ids=["one word", "word list", "both", "one sentence", "litotes"],
)
def test_tricks_that_do_not_please_the_judge(reply):
    reward, metrics = finish(SentimentEnv(target="positive"), reply)
    assert metrics["success"] == 0, (reward, metrics)


def test_only_the_continuation_is_scored():
    def see(exchanges):
        assert all(exchange.reply == "was terrible." for exchange in exchanges)
        return [rewards.score(rewards.resolve("vader"), exchanges)[0].total]

    reward, metrics = finish(SentimentEnv(target="negative", reward=see), "was terrible.")
    assert reward > 0 and metrics["sentiment"] > CLEAR and metrics["length"] == 2
    reward, metrics = finish(SentimentEnv(target="positive", reward=see), "was terrible.")
    assert reward < 0 and metrics["sentiment"] < -CLEAR


def test_several_turns_judge_the_whole():
    env = SentimentEnv(target="positive", max_turns=2)
    env.reset(seed=0)
    messages, _, terminated, _, info = env.step("was charming.")
    assert not terminated and messages[-1]["content"] == "Go on." and info["metrics"]["success"] == 1
    *_, terminated, _, info = env.step("But the end was terrible and I hated it.")
    assert terminated and info["metrics"]["success"] == 0 and info["metrics"]["length"] == 11


def test_unknown_choices_are_refused():
    with pytest.raises(ValueError, match="'positive', 'negative', 'both'"):
        SentimentEnv(target="neutral")
    with pytest.raises(ValueError, match="'bundled', 'hutto', a list, .*got 'imdb'"):
        SentimentEnv(prompts="imdb")
    with pytest.raises(TypeError, match="target"):
        SentimentEnv(topic="film")
    with pytest.raises(ValueError, match="no options; got 'target'"):
        SentimentEnv().reset(options={"target": "positive"})
    assert CLEAR > 0
