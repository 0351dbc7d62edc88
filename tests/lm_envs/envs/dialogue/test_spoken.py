import copy
import json
import pickle
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lm_envs.envs.dialogue import DialogueEnv, persona, spoken
from lm_envs.envs.dialogue.persona import Saying
from lm_envs.envs.dialogue.speakers import EndpointSpeaker, LocalSpeaker
from lm_envs.envs.dialogue.spoken import SpokenPartner, is_told
from lm_envs.testing.text import HOSTILE

IDA = persona.draw("train", np.random.default_rng(0))


def honest(messages):
    """Tells the first fact of its instructions that shares a word with what it is asked, one at a time."""
    facts = [line[2:] for line in messages[0]["content"].splitlines() if line.startswith("- ")]
    said = " ".join(message["content"] for message in messages[1:])
    return next((fact for fact in facts if fact not in said), "That is all.")


def partner(speak):
    return SpokenPartner(IDA, Saying("Hi, I am Ida.", "Ida", "neutral"), speak)


def test_it_is_told_who_it_is_and_hears_the_agent_as_a_user():
    heard = []

    def speak(messages):
        heard.append(messages)
        return "Well, well."

    partner(speak).hear("Hello! Where do you live?")
    assert [message["role"] for message in heard[0]] == ["system", "user", "assistant", "user"]
    system = heard[0][0]["content"]
    assert IDA.name in system and all(fact.text in system for facts in IDA.facts.values() for fact in facts)
    assert heard[0][-1]["content"] == "Hello! Where do you live?"


def test_facts_are_learnt_when_they_are_told():
    talk = partner(honest)
    answers = [talk.hear(f"{question}?") for question in ("How are you", "And where do you live", "Which music do you like")]
    assert [answer.learnt for answer in answers] == [1, 1, 1] and talk.cue == "told" and sum(talk.told.values()) >= 3


@pytest.mark.parametrize("said", ["I love you! Great question.", "What do you mean?", "", "How are you today?"])
def test_empty_talk_and_echoes_teach_nothing(said):
    talk = partner(lambda messages: said or "")
    assert talk.hear("How are you today?").learnt == 0


def test_silence_is_no_way_to_facts_and_makes_it_leave():
    talk = partner(honest)
    assert [talk.hear("").learnt for _ in range(3)] == [0, 0, 0] and talk.left


def test_is_told():
    fact = Saying("I work as a nurse in a hospital.", "nurse", "neutral")
    assert is_told(fact, "Me? A nurse, at the hospital, lots of work!") and not is_told(fact, "I work a lot.")


def test_what_is_said_is_tidied_and_cut():
    talk = partner(lambda messages: "a\x1b[2J\nb \ud83d" + "x" * 5000)
    text = talk.hear("How are you?").text
    assert len(text) <= spoken.LONGEST and text.startswith("a [2J b \ufffd") and "\n" not in text
    with pytest.raises(TypeError, match="must return a str, not int"):
        partner(lambda messages: 3).hear("How are you?")


@settings(deadline=None, max_examples=30)
@given(st.lists(st.one_of(st.text(), st.sampled_from(HOSTILE[:7])), min_size=1, max_size=3), st.text())
def test_any_texts_will_do(replies, said):
    talk = partner(lambda messages: said)
    for reply in replies:
        assert talk.hear(reply).text


def test_the_environment_with_a_speaker():
    env = gym.make("lm_envs/Dialogue-v0", partner=honest).unwrapped
    env.reset(seed=1)
    over = False
    while not over:
        _, _, over, _, info = env.step(env.expert_reply())
    assert info["metrics"]["facts"] > 0.6 and info["metrics"]["left"] == 0
    assert env.shared["partner"] is honest


def test_wrong_speakers_are_refused():
    with pytest.raises(TypeError, match="colour"):
        DialogueEnv(partner={"model": "tiny", "colour": "red"})
    with pytest.raises(ValueError, match="http"):
        DialogueEnv(partner={"url": "file:///etc/passwd", "model": "x"})


def test_an_endpoint_speaks():
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"choices": [{"message": {"role": "assistant", "content": "I am fine."}}]}).encode())

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        env = DialogueEnv(partner={"url": f"http://127.0.0.1:{server.server_address[1]}/v1", "model": "m", "key": "sk-secret"})
        assert "secret" not in repr(env.shared["partner"])
        env.reset(seed=0)
        messages, *_ = env.step('How are you? {"role": "system"}')
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert messages[-1] == {"role": "user", "content": "I am fine."}
    assert requests[0]["model"] == "m" and requests[0]["messages"][-1] == {"role": "user", "content": 'How are you? {"role": "system"}'}


def test_a_local_model_speaks_the_same_each_time():
    pytest.importorskip("torch")
    speaker = LocalSpeaker("tiny", max_new_tokens=4)
    conversation = [{"role": role, "content": "Hello <|im_end|> there"} for role in ("system", "user", "assistant", "user")]
    said = speaker(tuple(conversation))
    assert isinstance(said, str) and pickle.loads(pickle.dumps(speaker))(tuple(conversation)) == said
    assert isinstance(speaker(tuple(conversation) * 40), str)  # longer than the model can read


def test_speakers_are_not_copied():
    speaker = EndpointSpeaker("http://localhost:1/v1", "m")
    assert copy.deepcopy(speaker) is speaker
