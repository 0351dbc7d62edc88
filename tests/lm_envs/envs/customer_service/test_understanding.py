"""The reader of replies: a table of labelled replies, and what it must never do."""

import time
from collections import Counter
from pathlib import Path

import pytest

from lm_envs.envs.customer_service import understanding
from lm_envs.envs.customer_service.acts import AGENT_ACTS, FACTS
from lm_envs.envs.customer_service.understanding import read

REPLIES = Path(__file__).parent / "understanding_replies"
DEVELOPMENT = Path(__file__).parents[4] / "benchmarks" / "experiments" / "reply_reader" / "development.txt"
HOSTILE = (
    "a", "a ", "1", "1 ", "and or ", "refund ", "i can not have been give give ", "a@", "a.", "£", ",", '"', "1 day or ",
    "12 mill mill ", "<date:0> ", "\n", "? ", "\ufdfa", "n't", "-", "kb-", "what which where did you receive ", "to ",
    "'", "a-", "1 a b points is at ", "order number is no ",
    "29.", "may 1", "january ", "\x00", "💥", "if ", "have i ", "retrun ",
)  # fmt: skip


def table(name):
    """Replies of a file with their labels: a line is ``text | acts | kind=value; ...``."""
    for line in (REPLIES / name).read_text("utf-8").splitlines():
        text, acts, facts = (part.strip() for part in line.split("|"))
        yield text, acts.split(), {tuple(fact.strip().split("=", 1)) for fact in facts.split(";") if fact.strip()}


def macro_f1(name):
    hits, extra, missed = Counter(), Counter(), Counter()
    for text, acts, facts in table(name):
        reading = read(text)
        want, got = {*acts, *facts}, {*reading.acts, *reading.facts}
        for counter, labels in ((hits, want & got), (extra, got - want), (missed, want - got)):
            counter.update(label if isinstance(label, str) else label[0] for label in labels)
    return sum(2 * hits[x] / (2 * hits[x] + extra[x] + missed[x]) for x in hits | missed) / len(hits | missed)


@pytest.mark.parametrize("name", ["look.txt", "score.txt"])
def test_labels_are_of_the_vocabulary_and_replies_differ(name):
    rows = list(table(name))
    assert {act for _, acts, _ in rows for act in acts} <= set(AGENT_ACTS)
    assert {kind for _, _, facts in rows for kind, _ in facts} <= set(FACTS)
    assert len({text for text, _, _ in rows}) == len(rows)


def test_the_tables_are_broad():
    rows = [row for name in ("look.txt", "score.txt") for row in table(name)]
    assert len(rows) >= 500
    assert {act for _, acts, _ in rows for act in acts} == set(AGENT_ACTS)
    assert {kind for _, _, facts in rows for kind, _ in facts} == set(FACTS)


def test_replies_the_patterns_were_written_with():
    assert macro_f1("look.txt") >= 0.95


def test_replies_by_which_choices_were_made():
    assert macro_f1(DEVELOPMENT) >= 0.87


def test_replies_that_were_only_scored():
    assert macro_f1("score.txt") >= 0.93


@pytest.mark.parametrize(
    ("text", "acts"),
    [
        ("I will refund you.", ["offer_refund"]),
        ("I have refunded you.", ["done_refund"]),
        ("I can't refund you.", ["refuse_refund"]),
        ("I haven't refunded you.", []),
        ("Shall I refund you?", ["offer_refund", "confirm"]),
        ("Would you like a refund?", ["offer_refund", "confirm"]),
        ("Would you like a refund or an exchange?", ["ask_wish"]),
        ("So you want a refund?", ["confirm"]),
        ("To refund you, I need your order number.", ["ask_order"]),
        ("If you send me your order number, I will refund you.", ["ask_order", "offer_refund"]),
        ("Had you told us earlier, we could have cancelled it.", ["refuse_cancel"]),
        ("I understand that you want to cancel your order.", []),
        ("You can cancel it yourself on our website.", ["inform"]),
        ("No worries, I'll cancel it.", ["offer_cancel"]),
        ("I can't refund or exchange it.", ["refuse_refund", "refuse_exchange"]),
        ("I've cancelled the order and refunded the money.", ["done_cancel", "done_refund"]),
        ("I can't refund it, but I can exchange it.", ["refuse_refund", "offer_exchange"]),
        ("The system won't let me cancel it.", ["refuse_cancel"]),
        ("It lets me cancel it.", ["offer_cancel"]),
        ("The system doesn't allow me to change the card.", ["refuse_payment"]),
        ("That's beyond what I'm allowed to refund.", ["refuse_refund"]),
        ("We only refund within 30 days.", ["refuse_refund"]),
        ("We only refund what was paid.", ["offer_refund"]),
        ("I issued the refund a minute ago.", ["done_refund"]),
        ("The full amount has been returned to you.", ["done_refund"]),
        ("I hereby confirm the cancellation of your order.", ["done_cancel"]),
    ],
)
def test_frames(text, acts):
    assert [act for act in read(text).acts if act not in ("inform",) or acts == ["inform"]] == acts


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("Order no. 4411 cost £29.", {("order", "4411"), ("amount", "29.00")}),
        ("It was 1,299.50 pounds.", {("amount", "1299.50")}),
        ("It was twenty-nine pounds.", {("amount", "29.00")}),
        ("It ships on 14/05.", {("date", "05-14")}),
        ("It ships on May 14th.", {("date", "05-14")}),
        ("It ships on the fourteenth of May.", {("date", "05-14")}),
        ("It ships on 2026-05-14.", {("date", "05-14")}),
        ("We answer around the clock, 24/7.", set()),
        ("It takes 3 to 5 days.", {("days", "3"), ("days", "5")}),
        ("It takes two weeks.", {("days", "14")}),
        ("It takes a day or two.", {("days", "1"), ("days", "2")}),
        ("Your card ending 4242 was charged.", set()),
        ("It was delivered to 12 Mill Lane, Leeds LS1 4AB.", {("address", "12 mill lane, leeds ls1 4ab"), ("status", "delivered")}),
        ("Your e-mail address is a.b@mail.example.", {("email", "a.b@mail.example")}),
        ("Article KB-07 helps.", {("article", "KB-7")}),
        ("You have 1,200 points and gold status.", {("points", "1200"), ("tier", "gold")}),
        ("It isn't order 4411.", set()),
        ("It's not 4411 but 4412.", {("order", "4412")}),
    ],
)
def test_facts(text, facts):
    assert read(text).facts == facts


def test_misspelt_words_and_missing_apostrophes():
    assert read("I cant cancle your ordr.").acts == ("refuse_cancel",)
    assert read("ill send you a replacment").acts == ("offer_exchange",)
    assert read("Pls send me ur oder numbr and post code").asks == ("order", "postcode")


def test_a_reason_needs_a_refusal():
    assert ("reason", "window") in read("The 30 days are over. I can't refund it.").facts
    assert not read("Our return window is 30 days.").values("reason")


def test_known_addresses_are_found_as_written():
    assert read("I'll use Flat 2, The Old Mill.").values("address") == frozenset()
    assert read("I'll use Flat 2, The Old Mill.", {"addresses": ["Flat 2, The Old Mill"]}).values("address") == {"flat 2, the old mill"}


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_silence(text):
    reading = read(text)
    assert reading.silent and not reading.understood and reading.words == 0


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_text_is_read_in_time_and_without_error(unit):
    text = unit * (100_000 // len(unit))
    started = time.perf_counter()
    reading = read(text)
    assert time.perf_counter() - started < 0.5
    assert set(reading.acts) <= set(AGENT_ACTS)


def test_only_the_beginning_is_read():
    assert read("x " * 1000 + "I have refunded you.").acts == ()


def test_random_words_give_readings_of_the_vocabulary():
    words = [word for text, _, _ in table("look.txt") for word in text.split()]
    for start in range(0, len(words) - 12, 12):
        reading = read(" ".join(reversed(words[start : start + 12])))
        assert set(reading.acts) <= set(AGENT_ACTS) and {kind for kind, _ in reading.facts} <= set(FACTS)


def test_reading_is_fast():
    texts = [text for text, _, _ in table("look.txt")]
    understanding._sentence.cache_clear()
    started = time.process_time()
    for text in texts:
        read(text)
    fresh = time.process_time() - started
    started = time.process_time()
    for text in texts:
        read(text)
    again = time.process_time() - started
    assert fresh / len(texts) < 3e-3 and again / len(texts) < 3e-4  # loose: machines are shared
