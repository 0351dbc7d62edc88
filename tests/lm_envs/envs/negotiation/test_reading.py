import json
import math
import string
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lm_envs.envs.negotiation import reading
from lm_envs.envs.negotiation.reading import HIGHEST, LONGEST, Reading, read
from lm_envs.envs.negotiation.speech import ACTS, lines, money, personalities


def offer(price):
    return Reading("offer", price)


ACCEPT, LEAVE, UNCLEAR, NOTHING = Reading("accept"), Reading("leave"), Reading("unclear"), Reading("nothing")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I can do £450", offer(450)),
        ("how about 450?", offer(450)),
        ("450", offer(450)),
        ("£1,250.50 then", offer(1250.5)),
        ("$ 400", offer(400)),
        ("400€", offer(400)),
        ("2k", offer(2000)),
        ("Would you take 390 pounds?", offer(390)),
        ("450 is too much for me. I can do £410.", offer(410)),
        ("I can't do 500, but 450 is fine", offer(450)),
        ("I could go down from 500 to 470.", offer(470)),
        ("Your 430 is high, I say 400.", offer(400)),
        ("You asked 430; I offer 400 pounds", offer(400)),
        ("It is 2 years old, so 300.", offer(300)),
        ("410, 3 gears need repair", offer(410)),
        ("I have 2 others to look at, so 410.", offer(410)),
        ("It was made in 2019.", NOTHING),
        ("43", offer(43)),
        ("42", NOTHING),
        ("£42", offer(42)),
        ("Delivery takes 3 to 5 days, 400.", offer(400)),
        ("I can't go higher than 400.", offer(400)),
        ("No more than £400.", offer(400)),
        ("No deal at 430. I'd pay 380.", offer(380)),
        ("400, deal?", offer(400)),
        ("Deal if you go to 400", offer(400)),
        ("I accept 420.", offer(420)),
        ("I accept your offer of 420.", offer(420)),
        ("I'll take it for 410", offer(410)),
        ("deal", ACCEPT),
        ("Deal!", ACCEPT),
        ("OK, deal.", ACCEPT),
        ("I accept your offer of 430", ACCEPT),
        ("Deal at £430.00, then", ACCEPT),
        ("It\u2019s a deal", ACCEPT),
        ("430, deal?", ACCEPT),
        ("I'll take it.", ACCEPT),
        ("Agreed.", ACCEPT),
        ("no deal", LEAVE),
        ("I am walking away.", LEAVE),
        ("Goodbye!", LEAVE),
        ("Deal?", UNCLEAR),
        ("It's a deal if you deliver it.", UNCLEAR),
        ("between 400 and 450", UNCLEAR),
        ("400-450", UNCLEAR),
        ("400 or 420, as you like", UNCLEAR),
        ("400! No, 380!", UNCLEAR),
        ("I paid 600; 415?", UNCLEAR),
        ("It's a deal, no deal", UNCLEAR),
        ("I don't accept.", NOTHING),
        ("I won't take it.", NOTHING),
        ("The big deal is the price", NOTHING),
        ("I agree that it is nice.", NOTHING),
        ("Take 20% off", NOTHING),
        ("Is size 42 right? It is 3 years old, has 21 gears and weighs 12 kg", NOTHING),
        ("0", NOTHING),
        ("-450", NOTHING),
        ("1e309", NOTHING),
        ("NaN inf -inf", NOTHING),
        ("٤٥٠ ४५० ４５０ ²", NOTHING),
        ("9" * 400, NOTHING),
        ("", NOTHING),
        ("🙂", NOTHING),
    ],
)
def test_readings(text, expected):
    assert read(text, standing=430) == expected


def test_what_is_read_depends_on_the_standing_price():
    assert read("Deal at 400", standing=400) == ACCEPT
    assert read("Deal at 400", standing=401) == offer(400)


def test_what_the_players_say_is_read():
    for text in lines()["offer"]:
        assert read(text.format(price=money(1234.5)), standing=430) == offer(1234.5)
    for text in lines()["accept"]:
        assert read(text.format(price=money(1430)), standing=1430) == ACCEPT
    assert {read(text, standing=430) for text in lines()["leave"]} == {LEAVE}
    assert {read(text, standing=430) for text in lines()["chat"]} == {NOTHING}


def test_the_other_sides_words_are_read_as_they_are_meant():
    """An agent may speak as its counterpart does."""
    for each in personalities():
        for act in ACTS:
            for line in each.lines[act]:
                heard = read(line.format(price="£430", good="the bicycle"), standing=430)
                if act == "accept":
                    assert heard in (ACCEPT, offer(430)), line
                elif act in ("counter", "hold", "last"):
                    assert heard.act != "leave", line


prices = st.integers(1, 10**9)


@settings(max_examples=200, deadline=None)
@given(prices, st.sampled_from(["I can do {}", "how about £{}?", "{}", "€{}, and I mean it.", "450 is too low. I want {}."]))
def test_any_price_comes_back(price, pattern):
    heard = read(pattern.format(price), standing=0.5)
    assert heard == offer(price)
    assert read(pattern.format(f"{price:,}"), standing=0.5) == heard


@settings(max_examples=200, deadline=None)
@given(prices, prices)
def test_two_prices_are_no_offer(one, other):
    heard = read(f"I can do {one}. Or maybe I can do {other}.", standing=0.5)
    assert heard == (offer(one) if one == other else UNCLEAR)


@settings(max_examples=200, deadline=None)
@given(prices, st.sampled_from("years days % percent miles kg pieces gears °C th".split()))
def test_quantities_are_no_prices(number, unit):
    heard = read(f"It has {number} {unit}", standing=0.5)
    assert heard == NOTHING or unit == "°C"


WORDS = (
    "deal no not £ 400 430 430.00 1e309 nan -5 I accept can't don't if , . ? ! walk away your offer from to - ٤٣٠ 99999999999999999999 0 "
    "it's a agreed too much % years 1,2 1.2.3 £££ k 5k or and between at least"
).split()


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(max_size=200), st.text(string.digits + " .,-£k%e", max_size=40), st.lists(st.sampled_from(WORDS)).map(" ".join)))
@example("£")
@example("1" * 999)
@example("1.1" * 300)
def test_any_text_is_safe(text):
    heard = read(text, standing=430.0)
    assert (heard.act == "offer") == (heard.price > 0)
    assert math.isfinite(heard.price) and heard.price <= HIGHEST
    if heard.act == "accept":
        assert any(word in text.lower() for word in ("deal", "accept", "agree", "take it", "sold"))


@pytest.mark.parametrize("unit", ["400 ", "deal ", "1.", "1,", "£", "400 or ", "no ", "🙂", "0.1 to ", "\ud800", ";", "\n"])
def test_long_texts_say_nothing_and_take_no_time(unit):
    start = time.process_time()
    assert read(unit * 100_000, standing=430) == NOTHING
    read((unit * LONGEST)[:LONGEST], standing=430)
    assert time.process_time() - start < 1


def test_the_phrases_are_checked(monkeypatch):
    data = {"phrases": {"leaving": ["Bye!"]}}
    monkeypatch.setattr(reading, "_data", lambda: json.loads(json.dumps(data)))
    with pytest.raises(ValueError, match="leaving: these phrases can't be found: Bye!"):
        reading.phrases.__wrapped__()
