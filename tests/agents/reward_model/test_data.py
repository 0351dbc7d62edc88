import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.reward_model.data import PARTS, part_of, preferences, rated
from agents.reward_model.labels import label, levels
from agents.reward_model.pairs import pair
from lm_envs.envs.sentiment_classification import texts
from lm_envs.user_data import DataError
from tests.lm_envs.fetched import skipped_without

ROWS = [{"reply": f"text {number}", "rating": number % 7, "domain": "ab"[number % 2]} for number in range(120)]


def test_own_ratings_fall_into_three_parts():
    data = rated(ROWS)
    assert data.reads == "reply" and data.name == "own data"
    replies = {name: {one.exchange.reply for one in data.parts[name]} for name in PARTS}
    assert sum(map(len, replies.values())) == 120 and set.union(*replies.values()) == {row["reply"] for row in ROWS}
    assert all(part_of(one.source) == name for name in PARTS for one in data.parts[name])
    assert {one.domain for one in data.parts["train"]} == {"a", "b"}
    assert {one.exchange.reply: one.rating for name in PARTS for one in data.parts[name]} == {row["reply"]: row["rating"] for row in ROWS}


def test_sources_are_kept_together():
    rows = [{**row, "source": f"review {number // 4}"} for number, row in enumerate(ROWS)]
    data = rated(rows)
    sources = [{one.source for one in data.parts[name]} for name in PARTS]
    assert sum(map(len, sources)) == len(set.union(*sources)) == 30


def test_prompts_make_conversations(tmp_path):
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n".join(json.dumps({"prompt": f"p{n // 2}", "chosen": f"good {n}", "rejected": "bad"}) for n in range(80)))
    data = preferences(file)
    assert data.reads == "conversation" and data.name == "pairs.jsonl"
    one = data.parts["train"][0]
    assert [message["role"] for message in one.chosen.messages] == ["user", "assistant"] and one.rejected.reply == "bad"
    prompts = [{one.source for one in data.parts[name]} for name in PARTS]
    assert sum(map(len, prompts)) == len(set.union(*prompts)) == 40


@pytest.mark.parametrize(
    ("read", "rows", "message"),
    [
        (rated, [{"reply": "a", "rating": "much"}], "rating must be a number, got 'much'"),
        (rated, [{"reply": "a", "rating": "nan"}], "ordinary size"),
        (rated, [{"reply": "a", "rating": 1e300}], "ordinary size"),
        (rated, [{"reply": "a"}], "no column 'rating'"),
        (rated, [{"reply": "a", "rating": 1}], "too few sources"),
        (preferences, [{"chosen": "a", "rejected": "a"}], "are the same"),
        (preferences, [{"chosen": "a"}], "no column 'rejected'"),
    ],
)
def test_bad_rows_are_named(read, rows, message):
    with pytest.raises(DataError, match=message):
        read(rows)


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["reply", "rating", "prompt"]), st.text(max_size=8)), min_size=1, max_size=4))
def test_any_text_is_data_or_a_data_error(rows):
    try:
        data = rated(rows)
    except DataError:
        return
    assert all(np.isfinite(one.rating) for name in PARTS for one in data.parts[name])


@settings(deadline=None)
@given(st.integers(0, 10), st.floats(0.5, 6), st.integers(1, 3))
def test_pairs_put_the_higher_rating_first(seed, margin, rounds):
    items = [one for part in rated(ROWS).parts.values() for one in part]
    ratings = {id(one.exchange): one for one in items}
    pairs = pair(items, rounds, margin, np.random.default_rng(seed))
    for one in pairs:
        better, worse = ratings[id(one.chosen)], ratings[id(one.rejected)]
        assert better.rating - worse.rating >= margin and better.domain == worse.domain == one.domain
    assert len(pairs) <= rounds * len(items) // 2
    assert pairs == pair(items, rounds, margin, np.random.default_rng(seed))


def test_pairs_need_ratings_that_differ():
    items = list(rated(ROWS).parts["train"])
    with pytest.raises(ValueError, match="no two texts of a domain differ by 7"):
        pair(items, 1, 7.0, np.random.default_rng(0))
    with pytest.raises(ValueError, match="above 0"):
        pair(items, 1, 0.0, np.random.default_rng(0))


def test_labels_of_few_and_of_many_ratings():
    few = np.array([1.0, 2.0, 2.0, 5.0])
    assert levels(few) == (1.5, 3.5)
    positions, values = label(few, levels(few))
    assert positions.tolist() == [0, 1, 1, 2] and values == (1.0, 2.0, 5.0)
    many = np.linspace(0, 1, 300)
    assert np.bincount(label(many, levels(many))[0]).tolist() == [100, 100, 100]
    with pytest.raises(ValueError, match="must fall into all"):
        label(few, (0.0, 3.0))
    with pytest.raises(ValueError, match="no edges"):
        label(np.ones(3), levels(np.ones(3)))


def test_hutto_is_parted_as_the_environments_part_it():
    with skipped_without("hutto"):
        data = rated("hutto")
    test = {one.exchange.reply for one in data.parts["test"]}
    assert {text.text for text in texts.hutto("test")} == test
    others = {one.exchange.reply for name in ("train", "calibration") for one in data.parts[name]}
    assert not others & test and others == {text.text for text in texts.hutto("train")}


def test_chitchat_is_rated_conversations():
    with skipped_without("chitchat"):
        data = rated("chitchat", attribute="mean")
    assert data.reads == "conversation" and {one.domain for one in data.parts["test"]} == {"chitchat"}
    assert all(1 <= one.rating <= 10 and len(one.exchange.messages) > 1 for one in data.parts["test"])
    with pytest.raises(ValueError, match="attribute must be one of"):
        rated("chitchat", attribute="loud")
