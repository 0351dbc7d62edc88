import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lm_envs import assets
from lm_envs.envs.dialogue import DialogueEnv, human_data, lines, persona
from lm_envs.envs.dialogue.disclosure import disclosures
from lm_envs.envs.dialogue.human_data import HumanPartner, saying
from lm_envs.rewards import VaderSentiment
from lm_envs.testing import check_text_env, check_vector
from lm_envs.testing.text import HOSTILE
from tests.lm_envs.envs.dialogue.people import index, invented

__all__ = ["invented"]

TEST = index("test")


def partner(seed=0):
    return HumanPartner(TEST, TEST.corpus.starts[0], np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("text", "asked", "count"),
    [
        ("", False, 0),
        ("I work as a nurse in Provo.", False, 1),
        ("my boat sank\nwe have a farm near Leeds", False, 2),
        ("Do I work as a nurse?", False, 0),
        ("Nurses work in Provo.", False, 0),
        ("I think so, yeah haha", False, 0),
        ("two dogs", False, 0),
        ("two dogs", True, 1),
        ("yes", True, 0),
        ("how about you?", True, 0),
        ("I like nurses", False, 0),
    ],
)
def test_disclosures(text, asked, count):
    assert len(disclosures(text, set(), asked=asked)) == count


def test_what_is_known_is_no_news():
    assert not disclosures("I work as a nurse in Provo", {"nurse", "work", "provo"})
    assert len(disclosures("I work as a nurse in Provo. I work as a nurse in Provo!", set())) == 1


def test_it_answers_in_words_of_its_part():
    answers = {exchange.answer for exchange in TEST.corpus.exchanges}
    talk = partner()
    for reply in ("What is your favorite food?", "How are you?", "Number, hm. What do you like about pottery?", "blue ideas"):
        assert talk.hear(reply).text in answers


def test_asking_brings_news_and_silence_makes_it_leave():
    talk = partner()
    answer = talk.hear("What is your favorite food?")
    assert (answer.learnt, answer.asked, answer.irrelevant, talk.cue) == (1, 1, 0, "told") and "noodles" in answer.text
    answers = [talk.hear("") for _ in range(3)]
    assert talk.left and answers[0].text == "what do you mean?" and "i have to go" in answers[2].text
    assert not any(answer.learnt for answer in answers)


def test_nothing_is_said_twice_while_there_is_something_else():
    talk = partner()
    said = [talk.hear(f"What is your favorite food{'?' * number}").text for number in range(1, 3)]
    assert len(set(said)) == 2


def test_a_copy_goes_on_alike_and_leaves_the_first_as_it_was():
    talk = partner()
    talk.hear("How are you?")
    twin = copy.deepcopy(talk)
    assert twin.hear("What is your favorite food?") == talk.hear("What is your favorite food?")


def test_tones():
    assert [saying(text).tone for text in ("That is wonderful!", "my dog died, so sad", "I am at home")] == ["good", "bad", "neutral"]
    assert saying("🙂").key == "that"


def test_without_puzzled_turns_a_word_stands_in():
    empty = index("test", [])
    assert human_data.turns_of(empty, "puzzled") == ["what?"] and human_data.turns_of(empty, "goodbye") == ["bye"]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.one_of(st.text(max_size=200), st.sampled_from(HOSTILE[:7])), min_size=1, max_size=4))
def test_any_reply_is_answered(replies):
    talk = partner()
    for reply in replies:
        answer = talk.hear(reply)
        assert answer.text and 0 <= answer.repetition <= 1


def test_a_reply_of_any_length_is_answered(invented):
    env = DialogueEnv(partner="human-data")
    env.reset(seed=0)
    assert env.step("food " * 800)[4]["metrics"]["relevance"] in (0, 1)


def test_contract(invented):
    check_text_env(lambda **arguments: DialogueEnv(partner="human-data", **arguments))
    check_vector(lambda **arguments: DialogueEnv(partner="human-data", **arguments))


def test_splits_speak_from_different_conversations(invented):
    heard = {}
    for split in ("train", "test"):
        env = DialogueEnv(partner="human-data", split=split)
        heard[split] = set()
        for seed in range(20):
            env.reset(seed=seed)
            over = False
            while not over:
                _, _, over, _, _ = env.step(env.expert_reply())
            heard[split] |= {m["content"] for m in env.messages if m["role"] == "user" and len(m["content"].split()) >= 5}
    assert heard["train"] and heard["test"] and not heard["train"] & heard["test"]


def test_any_reward_model_judges_it(invented):
    seen = []

    def spy(exchanges):
        seen.extend(exchanges)
        return [0.5 for _ in exchanges]

    env = DialogueEnv(partner="human-data", reward=spy)
    env.reset(seed=0)
    assert env.step("Hello, how are you?")[1] == 0.5
    roles = [message["role"] for message in seen[0].messages]
    assert roles == ["system", "user", "assistant"] and "hobby" in seen[0].messages[0]["content"]
    env = DialogueEnv(partner="human-data", reward=VaderSentiment())
    env.reset(seed=0)
    assert env.step("How wonderful, great, lovely!")[1] > 0.5


def test_the_expert_gets_most_and_silence_nothing(invented):
    env = DialogueEnv(partner="human-data", split="test")
    totals = {"expert": [], "noop": []}
    for name, returns in totals.items():
        for seed in range(8):
            env.reset(seed=seed)
            total, over = 0.0, False
            while not over:
                _, reward, over, _, _ = env.step(env.expert_reply() if name == "expert" else "")
                total += reward
            returns.append(total)
    assert np.mean(totals["expert"]) > 0.6 and np.allclose(totals["noop"], -0.1)


QUESTIONS = [lines.lines()["ask"][topic][0] for topic in persona.topics()]


def heard(env):
    return env.messages[-1]["content"]


@pytest.mark.network
@pytest.mark.parametrize(
    ("attack", "most"),
    [
        (lambda env, turn: QUESTIONS[turn], 0.45),
        (lambda env, turn: f"How nice! {QUESTIONS[turn]}", 0.55),
        (lambda env, turn: f"{saying(heard(env)).key}. {QUESTIONS[turn]}", 0.85),
        (lambda env, turn: f"{heard(env).rstrip('.!?').split()[-1]}. {QUESTIONS[turn]}", 0.8),
        (lambda env, turn: "Tell me more about it.", 0.25),
        (lambda env, turn: heard(env), 0),
        (lambda env, turn: "great " * 20, 0),
        (lambda env, turn: ["Me too haha", "I agree", "That is true", "Yeah", "Same", "Right"][turn], 0.1),
    ],
    ids=["question list", "glad list", "longest word and list", "last word and list", "ask on only", "echo", "one word again", "agreement"],
)
def test_blind_strategies_earn_less_than_the_expert(attack, most):
    if not assets.available("chitchat"):
        pytest.skip("chitchat isn't fetched")
    env = DialogueEnv(partner="human-data", split="test")
    totals = []
    for seed in range(60):
        env.reset(seed=seed)
        total, turn, over = 0.0, 0, False
        while not over:
            _, reward, over, _, _ = env.step(attack(env, turn))
            total, turn = total + reward, turn + 1
        totals.append(total)
    assert np.mean(totals) <= most


def test_wrong_choices_are_refused():
    with pytest.raises(ValueError, match="partner must be one of 'authored', 'human-data', a mapping.*got 'human'"):
        DialogueEnv(partner="human")
    with pytest.raises(ValueError, match="vectors must be one of 'words', 'minilm'"):
        DialogueEnv(vectors="bert")
    with pytest.raises(ValueError, match='vectors are for partner="human-data"'):
        DialogueEnv(vectors="minilm")
