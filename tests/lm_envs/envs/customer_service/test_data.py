import copy

import pytest

from lm_envs.envs.customer_service import data
from lm_envs.envs.customer_service.data import DataError, load, load_checked

NAMES = ("products", "articles", "rules", "people", "prompts")


@pytest.mark.parametrize("name", NAMES)
def test_files_pass_their_checks_and_are_loaded_once(name):
    assert load(name) is load(name)


def test_files_of_a_folder_are_listed():
    assert "wording/talk" in data.names("wording")


def test_other_modules_check_their_own_files():
    def refuse(content):
        raise DataError("no")

    with pytest.raises(DataError, match="no"):
        load_checked("people", refuse)


SPOILT = [
    ("products", "comes twice", lambda d: d["products"].append(d["products"][0])),
    ("products", "fewer than 40", lambda d: d["products"].__delitem__(slice(20, None))),
    ("products", "unknown articles", lambda d: d["products"][0]["articles"].append("KB-999")),
    ("products", "unknown category", lambda d: d["products"][0].update(category="weapons")),
    ("products", "price like", lambda d: d["products"][0]["variants"][0].update(price="29")),
    ("products", "doesn't start", lambda d: d["products"][0]["variants"][0].update(id="red")),
    ("products", "two variants", lambda d: d["products"][0]["variants"].__delitem__(slice(1, None))),
    ("articles", "no step holds", lambda d: d["articles"][0]["marks"].append("never said")),
    ("articles", "3 to 6 marks", lambda d: d["articles"][0]["marks"].clear()),
    ("articles", "more than 60", lambda d: d["articles"][0].update(body="word " * 61)),
    ("articles", "comes twice", lambda d: d["articles"][1].update(marks=d["articles"][0]["marks"])),
    ("rules", "severity", lambda d: d["rules"][0].update(severity="mild")),
    ("rules", "names what isn't known", lambda d: d["rules"][0].update(text="within {weeks} weeks")),
    ("rules", "fewer than 20", lambda d: d["rules"].__delitem__(slice(10, None))),
    ("people", "fewer than 8", lambda d: d["names"]["irish"]["first"].clear()),
    ("people", "postal area", lambda d: d["towns"].append({"name": "", "area": "1"})),
    ("prompts", "both splits", lambda d: d["full"]["role"].update(test=d["full"]["role"]["train"])),
    ("prompts", "fewer than 2", lambda d: d["compact"]["tools"]["test"].pop()),
    ("prompts", "names what isn't known", lambda d: d["full"]["role"]["train"].append("{who}")),
]


@pytest.mark.parametrize(("name", "what", "spoil"), SPOILT)
def test_what_is_malformed_is_refused(name, what, spoil):
    content = copy.deepcopy(load(name))
    spoil(content)
    with pytest.raises(DataError, match=f"{name}.json.*{what}"):
        data._CHECKS[name](content)
