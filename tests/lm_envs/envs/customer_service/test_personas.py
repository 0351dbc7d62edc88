import pytest

from lm_envs.envs.customer_service import personas
from lm_envs.envs.customer_service.attacks import KINDS
from lm_envs.envs.customer_service.data import DataError
from lm_envs.types import SPLITS


def test_both_splits_have_ordinary_people_and_every_kind_of_adversary():
    assert len(personas.everyone()) >= 20
    for split in SPLITS:
        assert len(personas.load(split, False)) >= 6
        assert {persona["attack"] for persona in personas.load(split, True)} == set(KINDS)
        assert all(persona["split"] == split for adversarial in (False, True) for persona in personas.load(split, adversarial))


def test_names_are_distinct():
    names = [persona["name"] for persona in personas.everyone()]
    assert len(set(names)) == len(names)


def test_the_best_known_characters_are_there():
    assert {"patient", "terse", "rambling", "confused", "anxious", "angry"} <= {persona["name"] for persona in personas.everyone()}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"split": "dev"}, "split must be one of train, test"),
        ({"register": "posh"}, "register must be one of"),
        ({"dialect": "klingon"}, "dialect must be one of"),
        ({"attack": "bribe"}, "attack must be one of"),
        ({"disclosure": 1}, "disclosure must be one of"),
        ({"mood": 1.0}, "mood is a share"),
        ({"temper": 0}, "temper is positive"),
        ({"typos": 0.5}, "typos is a share"),
        ({"patience": 1}, "patience is at least"),
        ({"insist": 9}, "insist is from 0"),
        ({"hobby": "chess"}, "unknown fields \\['hobby'\\]"),
    ],
)
def test_malformed_personas_are_refused(change, complaint):
    with pytest.raises(DataError, match=complaint):
        personas._check({**personas.everyone()[0], **change})
