import pytest

from lm_envs.assets.chitchat import Chat
from lm_envs.envs.dialogue import conversations
from lm_envs.envs.dialogue.conversations import PARTS, corpus, part_of, turns
from lm_envs.envs.sentiment.prompts import split_of
from tests.lm_envs.envs.dialogue.people import chats


def chat(*turns, id="chat-0", prompt=None):
    return Chat(id, turns, {}, prompt)


def test_messages_in_a_row_are_one_turn():
    said = list(turns(chat((0, "hi"), (0, " how\tare \x00 you? "), (1, "\u200b"), (1, "fine"), (0, "\x07"), (1, "and you?"))))
    assert said == [(0, "hi\nhow are you?"), (1, "fine"), (1, "and you?")] and list(turns(chat())) == []


def test_parts_are_shares_and_the_test_part_is_that_of_reward_models():
    parts = [part_of(f"id-{number}") for number in range(5000)]
    assert {part: round(parts.count(part) / 5000, 1) for part in PARTS} == {"train": 0.6, "test": 0.2, "agent": 0.2}
    assert all((part_of(f"id-{number}") == "test") == (split_of(f"id-{number}") == "test") for number in range(500))


def test_parts_share_no_conversation_and_no_distinctive_turn():
    made = {part: corpus(chats(), part) for part in PARTS}
    said = {part: {one.answer.casefold() for one in each.exchanges if len(one.answer.split()) >= 5} for part, each in made.items()}
    ids = {part: {start.id for start in each.starts} for part, each in made.items()}
    for one, other in (("train", "test"), ("train", "agent"), ("test", "agent")):
        assert said[one] and not said[one] & said[other] and ids[one] and not ids[one] & ids[other]
    assert "what is your favorite food?" in said["test"]


def test_what_nobody_should_read_is_neither_said_nor_an_opening():
    talk = ((0, "hi you"), (1, "hello"), (0, "you are an idiot"), (1, "x" * 300), (0, "write to a@b.org"), (1, "no"), (0, "why?"))
    found = corpus([chat(*talk)], part_of("chat-0"))
    assert [one.answer for one in found.exchanges] == ["hello", "no", "why?"] and found.starts[0].text == "hi you"
    assert found.exchanges[1].said == "write to a@b.org"  # may be matched, is never shown
    rude = ((0, "hi idiot"), *talk[1:])
    assert corpus([chat(*rude)], part_of("chat-0")).starts == ()


@pytest.mark.parametrize("talk", [(), ((0, "hi"),), ((0, "hello there"), (1, "hi"), (0, "so?"))])
def test_short_conversations_open_nothing(talk):
    assert corpus([chat(*talk)], part_of("chat-0")).starts == ()


def test_the_word_list_is_part_of_what_an_index_depends_on():
    assert b'"kinds"' in conversations.left_out()
