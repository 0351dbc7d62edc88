"""The expert before customers with another voice: what becomes of a voice's texts, and a server that speaks the protocol."""

import json
import subprocess
import sys

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.experiments import service_voices
from benchmarks.experiments.service_voices import measure, verdict
from lm_envs.envs.customer_service.llm_customer import EndpointVoice

SERVER = """
import json
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        draft = body["messages"][-1]["content"].rpartition("Draft of your next message: ")[2]
        answer = json.dumps({"choices": [{"message": {"content": "Well now. " + draft}}]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@pytest.fixture
def server():
    """Another process that speaks the chat-completions protocol; gives its root."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sure, that's 4411.", "kept"),
        ("It's 4411.", "as drafted"),
        ("  ", "empty"),
        ("I'd rather not say.", "a detail is lost"),
        ("It's 4411, or 5120.", "a detail is made up"),
        ("It's 4411. How may I help you?", "another meaning"),
    ],
)
def test_verdicts(text, expected):
    assert verdict(text, {"order": "4411"}, "It's 4411.", ("answer/order",)) == expected


class Liar:
    """Says the same whatever is to be said."""

    def say(self, acts, slots, history, persona, draft):
        return "You owe me £999.99 for order 9999."


def test_whatever_a_voice_says_the_expert_fares_as_with_the_scripted_customer():
    results = measure(Liar(), episodes=4)
    assert results.ends == results.scripted and all(end["success"] == 1 for end in results.ends)
    assert {message.verdict for message in results.messages} <= {"a detail is lost", "a detail is made up"}
    assert sum(share.mean for share in results.shares().values()) == pytest.approx(1)


@pytest.mark.slow
def test_several_jobs_play_the_same_episodes(server):
    voice = EndpointVoice(server, "any")
    one, two = (measure(voice, episodes=4, jobs=jobs) for jobs in (1, 2))
    assert one.ends == two.ends and [message.text for message in one.messages] == [message.text for message in two.messages]


def test_the_command_asks_a_server_in_another_process(server, tmp_path, capsys):
    assert main(["service-voices", "--url", server, "--model", "any", "--episodes", "3", "--out", str(tmp_path)]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert set(summary["verdicts"]) == {"kept"} and all(message["text"].startswith("Well now. ") for message in summary["messages"])
    assert "| success | 1.00 [0.44, 1.00] | 1.00 [0.44, 1.00] |" in capsys.readouterr().out
    assert "messages: kept | 1.00" in (tmp_path / "table.md").read_text()


def test_the_command_loads_the_model_in_the_type_that_is_asked_for(tmp_path, monkeypatch):
    asked = []

    def note(voice, **arguments):
        asked.append(voice._load()[1].dtype)
        raise ValueError("enough")

    monkeypatch.setattr(service_voices, "measure", note)
    for dtype in ("float32", "bfloat16"):
        assert main(["service-voices", "--model", "tiny", "--dtype", dtype, "--out", str(tmp_path)]) == 1
    assert asked == [torch.float32, torch.bfloat16]


def test_a_server_that_isn_t_there_is_one_clear_error(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert main(["service-voices", "--url", "http://127.0.0.1:9/v1", "--episodes", "1", "--out", str(tmp_path)]) == 1
    assert "http://127.0.0.1:9/v1" in capsys.readouterr().err


def test_intents_are_of_the_environment():
    from lm_envs.envs.customer_service.scenario import INTENTS

    assert set(service_voices.INTENTS) <= set(INTENTS)
