from collections import Counter

import numpy as np
import pytest

from lm_envs.envs.dialogue import DialogueEnv, lines, persona, scoring, understanding
from lm_envs.envs.dialogue.partner import PATIENCE, Partner
from lm_envs.envs.dialogue.persona import Persona, Saying
from lm_envs.envs.dialogue.understanding import repetition, understand, words
from lm_envs.testing import check_text_env, check_vector
from lm_envs.types import SPLITS
from tests.lm_envs.envs.documented import check_formula, check_metrics, check_signals


def play(env, reply, seed):
    """Return of an episode and its last metrics; ``reply(env, turn)`` says the next reply."""
    env.reset(seed=seed)
    total, turn, over = 0.0, 0, False
    while not over:
        _, reward, over, truncated, info = env.step(reply(env, turn))
        assert not truncated
        total, turn = total + reward, turn + 1
    return total, info["metrics"]


def mean_return(reply, count=60, **kwargs):
    env = DialogueEnv(**kwargs)
    return float(np.mean([play(env, reply, seed)[0] for seed in range(count)]))


def talk(mood="calm"):
    """A partner whose life is known, that never asks back."""

    class Quiet:
        def integers(self, bound):
            return 0

        def random(self):
            return 1.0

    facts = {
        topic: (Saying(f"I tell of {topic}.", topic, "neutral"), Saying(f"More of {topic}.", topic, "neutral"))
        for topic in persona.topics()
    }
    facts["event"] = (Saying("My boat sank.", "your boat", "bad"), Saying("It was a gift!", "the gift", "good"))
    return Partner(Persona("Ida", mood, facts), Quiet())


# Understanding.


@pytest.mark.parametrize(
    ("text", "topics"),
    [
        ("What do you do for a living?", ("work",)),
        ("so where do you work", ("work",)),
        ("What do you do?", ("work",)),
        ("What do you do for fun?", ("hobby",)),
        ("What's your job like?", ("work",)),
        ("Tell me about your family", ("family",)),
        ("Where're you from?", ("home",)),
        ("Got any pets?", ("pet",)),
        ("Any plans for the weekend?", ("plan",)),
        ("What kind of music do you listen to?", ("music",)),
        ("What's your favorite food?", ("food",)),
        ("How are you?", ("event",)),
        ("Where do you live, and do you have a pet?", ("home", "pet")),
        ("I love my job and my family.", ()),
        ("I have no pets.", ()),
        ("What a pity.", ()),
        ("", ()),
        ("¿Dónde vives?", ()),
    ],
)
def test_topics_of_questions(text, topics):
    assert understand(text, about="").topics == topics


@pytest.mark.parametrize(
    ("text", "tones"),
    [
        ("I'm so sorry to hear that.", {"bad"}),
        ("That must be really hard... that sounds hard", {"bad"}),
        ("How lovely!", {"good"}),
        ("That's great!", {"good"}),
        ("That is not great.", set()),
        ("Oh no, how nice!", {"good", "bad"}),
        ("I see.", set()),
    ],
)
def test_tones(text, tones):
    assert understand(text, about="").tones == tones


@pytest.mark.parametrize(
    ("text", "takes_up", "follows"),
    [
        ("A nurse, I see.", True, False),
        ("Do nurses sleep enough?", True, True),
        ("Tell me more about it.", False, True),
        ("Why?", False, True),
        ("Nurse?", True, False),
        ("I work as well.", True, False),
        ("As a what?", False, False),
        ("Where do nurses live? Where do you live?", True, False),
    ],
)
def test_taking_up_and_asking_on(text, takes_up, follows):
    heard = understand(text, about="I work as a nurse. a nurse")
    assert (heard.takes_up, heard.follows) == (takes_up, follows)


def test_own_words_are_statements_about_the_speaker():
    assert understand("I like tea.", about="").own
    assert not understand("I am sorry.", about="").own
    assert not understand("Can I ask more?", about="").own


def test_words_write_contractions_out():
    assert words("It\u2019s FINE, don't you?") == ["it", "is", "fine", "do", "not", "you"]


def test_repetition_of_triples():
    assert repetition("where do you live", []) == 0
    assert repetition("where do you live", ["tell me where do you live"]) == 1
    assert repetition("where do you work", ["where do you live"]) == 0.5
    assert repetition("Okay.", ["okay"]) == 1
    assert repetition("so so so so", []) == 0.5
    assert repetition("", ["", "a"]) == 0


@pytest.mark.parametrize(
    "unit", ["how ", "what do you do ", "?", "a, ", "' ", "n't", "so happy for ", "🙂", "\u202e", "<|im_end|>", "I. ", "do you do you "]
)
def test_very_long_text_is_read(unit):
    text = (unit * 100_000)[:100_000]
    heard = understand(text, about=text[:1000])
    assert heard.words <= 100_000
    assert 0 <= repetition(text, [text]) <= 1


def test_intents_file_is_checked(monkeypatch):
    persona.values()
    data = {"topics": {"work": []}}
    monkeypatch.setattr(understanding.json, "loads", lambda text: data)
    with pytest.raises(ValueError, match="intents.json has topics"):
        understanding.intents.__wrapped__()
    data = {"topics": {topic: ["same"] for topic in persona.topics()}, "followups": []}
    with pytest.raises(ValueError, match="'same' twice"):
        understanding.intents.__wrapped__()


# Personas.


def test_persona_values_are_disjoint_and_can_be_taken_up():
    data = persona.values()
    assert len(data["topics"]) >= 8
    assert not set(data["names"]["train"]) & set(data["names"]["test"])
    for topic, splits in data["topics"].items():
        assert len(splits["train"]) >= 8 and len(splits["test"]) >= 5, topic
        for entry in (*splits["train"], *splits["test"]):
            for saying in entry:
                assert understand(f"{saying.key} it is", about=saying.key).takes_up, saying
                assert len(saying.text.split()) <= 12
    told = [{saying.text for splits in data["topics"].values() for entry in splits[split] for saying in entry} for split in SPLITS]
    assert not told[0] & told[1]


def test_personas_are_composed_of_their_split():
    rng = np.random.default_rng(0)
    for split in SPLITS:
        drawn = [persona.draw(split, rng) for _ in range(100)]
        assert {each.name for each in drawn} <= set(persona.values()["names"][split])
        assert set(Counter(each.mood for each in drawn)) == {"low", "high", "calm"}
        for each in drawn:
            assert (each.facts["event"][0].tone == "bad") == (each.mood == "low")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (["a", "b", "good"], "expected fact, key, tone"),
        (["a", "b", "great", "c", "d", "good"], "expected fact, key, tone"),
        (["a", "b", "good", "a", "d", "good"], "'a' twice"),
        (["Mia", "b", "good", "a", "d", "good"], "'Mia' twice"),
    ],
)
def test_persona_file_is_checked(monkeypatch, row, problem):
    data = {"names": {"train": ["Mia"], "test": []}, "topics": {"work": {"train": [row], "test": []}}}
    monkeypatch.setattr(persona.json, "loads", lambda text: data)
    with pytest.raises(ValueError, match=problem):
        persona.values.__wrapped__()


def test_lines_file_is_checked(monkeypatch):
    lines.lines()
    persona.values()
    full = {topic: ["x"] for topic in persona.topics()}
    tones = {tone: ["x"] for tone in persona.TONES}
    data = {"ask": full, "follow": full, "own": full, "react": tones, "greet": {"bad": ["x"]}}
    monkeypatch.setattr(lines.json, "loads", lambda text: data)
    with pytest.raises(ValueError, match="greet has no lines for good, neutral"):
        lines.lines.__wrapped__()


def test_what_the_expert_says_is_understood():
    table = lines.lines()
    for topic in persona.topics():
        for text in table["ask"][topic]:
            assert understand(text, about="").topics == (topic,), text
        for text in table["follow"][topic]:
            assert understand(text, about="").follows, text
        for text in table["own"][topic]:
            heard = understand(text, about="")
            assert heard.own and not heard.tones, text
    for tone in persona.TONES:
        expected = set() if tone == "neutral" else {tone}
        for pattern in table["react"][tone]:
            assert understand(pattern.format(key="the boat"), about="").tones == expected, pattern
        for pattern in table["greet"][tone]:
            assert understand(pattern.format(name="Ida"), about="").tones == expected, pattern
    for text in table["aside"]:
        heard = understand(text, about="")
        assert not (heard.topics or heard.follows or heard.tones), text


# The partner.


def test_it_tells_when_asked_and_asked_on():
    partner = talk()
    answer = partner.hear("Hello Ida. What do you do for a living?")
    assert (answer.text, answer.learnt, answer.listening, answer.reaction) == ("I tell of work.", 1, 1, 1)
    answer = partner.hear("Work, I see. Do you like it?")
    assert (answer.text, answer.learnt, answer.listening) == ("More of work.", 1, 1)
    answer = partner.hear("Your work, interesting. Where do you work?")
    assert answer.learnt == 0 and answer.text == "I told you all about that."


def test_a_low_partner_wants_sympathy_first():
    partner = talk("low")
    answer = partner.hear("Where do you live?")
    assert (answer.learnt, answer.reaction, partner.patience) == (0, 0, PATIENCE)
    answer = partner.hear("How wonderful! Do you have a pet?")
    assert (answer.learnt, answer.reaction, partner.patience) == (0, -1, PATIENCE - 1)
    answer = partner.hear("I am sorry to hear that. Do you like animals?")
    assert (answer.learnt, answer.reaction) == (1, 1)
    assert answer.text == "Thank you. I tell of pet."
    assert (partner.toned, partner.met) == (1, 1)


def test_both_tones_at_once_are_wrong():
    answer = talk("low").hear("How sad, how nice. What happened?")
    assert (answer.learnt, answer.reaction) == (0, -1)


def test_good_and_bad_news_are_counted_once():
    partner = talk()
    partner.hear("Hi Ida. How are you?")
    partner.hear("Where do you live?")
    assert (partner.toned, partner.met) == (1, 0)
    partner.hear("What happened to your home?")
    assert (partner.toned, partner.met) == (1, 0)


def test_a_partner_who_is_not_listened_to_stops_answering():
    partner = talk()
    learnt = [partner.hear(reply).learnt for reply in ("Do you have a pet?", "Where do you live?", "Any plans?", "What music is it?")]
    assert learnt == [1, 1, 1, 0]
    assert partner.hear("You spoke of plans. What do you like to eat?").learnt == 1


@pytest.mark.parametrize(
    "replies",
    [
        ["", "  ", "\n"],
        ["The sky is blue.", "Paper is white.", "Seven."],
        ["Where do you live? " * 8] * 3,
        ["What is your job? What music? Which pet?"] * 3,
        ["Do you have a family, pets, or a hobby?"] * 3,
        ["I tell you it is so.", "I tell you it is so.", "I tell you it is so."],
        ["<|im_end|>", "\u202e", "🙂"],
    ],
    ids=["silence", "off the point", "too long", "three questions", "three topics", "again", "no words"],
)
def test_it_leaves_when_patience_is_gone(replies):
    partner = talk()
    answers = [partner.hear(reply) for reply in replies]
    assert partner.left and not any(answer.learnt for answer in answers)


def test_asked_back_one_answers():
    partner = talk()
    partner._rng.random = lambda: 0.0
    assert partner.hear("Hi Ida. Where do you work?").text == "I tell of work. And you?"
    ignored, answered = talk(), talk()
    for other, reply, listening in ((ignored, "Work. Do you like it?", 0), (answered, "I paint. Do you like it?", 1)):
        other._rng.random = lambda: 0.0
        other.hear("Hi Ida. Where do you work?")
        answer = other.hear(reply)
        assert (answer.learnt, answer.listening) == (1, listening)


# The environment.


def test_contract():
    check_text_env(DialogueEnv)
    check_vector(DialogueEnv)


def test_documented_metrics_and_signals_are_the_returned_ones():
    check_metrics(DialogueEnv)
    check_signals(DialogueEnv, scoring.reward.weights)
    check_formula(DialogueEnv, scoring.reward.weights)


@pytest.mark.parametrize("split", SPLITS)
def test_players_score_as_published(split):
    rng = np.random.default_rng(0)
    players = {
        "expert": lambda env, _: env.expert_reply(),
        "random": lambda env, _: env.random_reply(rng),
        "noop": lambda env, _: env.noop_reply,
    }
    env = DialogueEnv(split=split)
    mean = {}
    for name, player in players.items():
        played = [play(env, player, seed) for seed in range(150)]
        mean[name] = float(np.mean([total for total, _ in played])), float(np.mean([metrics["success"] for _, metrics in played]))
    assert mean["expert"][0] > 0.97 and mean["expert"][1] == 1
    assert abs(mean["random"][0]) < 0.15 and mean["random"][1] < 0.05
    assert mean["noop"] == (pytest.approx(-0.1), 0)


def test_rewards_of_a_turn_are_in_range():
    rng = np.random.default_rng(1)
    env = DialogueEnv()
    for seed in range(30):
        env.reset(seed=seed)
        over = False
        while not over:
            reply = env.expert_reply() if rng.random() < 0.3 else env.random_reply(rng)
            _, reward, over, _, info = env.step(reply)
            assert -0.8 / 6 - 1e-9 <= reward <= 1 / 6 + 1e-9
            assert all(0 <= value <= 1 for name, value in info["metrics"].items() if name not in ("questions", "turns"))


def test_episodes_are_short():
    env = DialogueEnv(split="test")
    for seed in range(30):
        play(env, lambda env, _: env.expert_reply(), seed)
        assert sum(len(message["content"].split()) + 4 for message in env.messages) < 250


def test_expert_uses_the_turns_it_has():
    for limit in (1, 3, 10, 18):
        total, metrics = play(DialogueEnv(max_turns=limit), lambda env, _: env.expert_reply(), 3)
        assert metrics["facts"] == 1 and metrics["success"] == 1
        assert total > 0.9


QUESTIONS = [lines.lines()["ask"][topic][0] for topic in persona.topics()]
GLAD = ["How nice!", "That is great!", "Wonderful!", "I am glad!", "Lovely!", "Cool!"]
SORRY = ["I am sorry.", "Oh no.", "How sad.", "That is hard.", "What a pity.", "That is sad."]


def last_word(env):
    return env.messages[-1]["content"].rstrip(".!?").split()[-1]


@pytest.mark.parametrize(
    ("attack", "most"),
    [
        (lambda env, turn: QUESTIONS[turn % 9], 0.25),
        (lambda env, turn: f"{GLAD[turn]} {QUESTIONS[turn]}", 0.3),
        (lambda env, turn: f"{SORRY[turn]} {QUESTIONS[turn]}", 0.3),
        (lambda env, turn: f"{SORRY[turn]} {GLAD[turn]} {QUESTIONS[turn]}", 0.05),
        (lambda env, turn: " ".join(QUESTIONS), 0),
        (lambda env, turn: f"{QUESTIONS[2 * turn % 9]} {QUESTIONS[(2 * turn + 1) % 9]}", 0.2),
        (lambda env, turn: env.messages[-1]["content"], 0),
        (lambda env, turn: f"{env.messages[-1]['content']} Tell me more.", 0.15),
        (lambda env, turn: "Tell me more about it.", 0.1),
        (lambda env, turn: "work home pet hobby food plan family music?", 0),
        (lambda env, turn: "great " * 20, 0),
        (lambda env, turn: f"{last_word(env)}?", 0.05),
        (lambda env, turn: f"So {last_word(env)}.", 0.1),
        (lambda env, turn: f"{last_word(env)}. {QUESTIONS[turn]}", 0.6),
    ],
    ids=[
        "question list",
        "glad list",
        "sorry list",
        "both tones",
        "all at once",
        "two at once",
        "echo",
        "echo and ask on",
        "ask on only",
        "topic words",
        "one word again",
        "last word asked",
        "last word said",
        "last word and list",
    ],
)
def test_blind_strategies_earn_little(attack, most):
    assert mean_return(attack, split="test") <= most


def test_unknown_choices_are_refused():
    with pytest.raises(TypeError, match="max_turns"):
        DialogueEnv(mood="low")
    with pytest.raises(ValueError, match="no options; got 'mood'"):
        DialogueEnv().reset(options={"mood": "low"})
