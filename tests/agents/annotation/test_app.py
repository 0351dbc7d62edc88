"""The server: what it answers, and what it refuses."""

import json
import os
import socket
from threading import Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("flask", reason="needs the extra annotate")
pytest.importorskip("waitress", reason="needs the extra annotate")

from agents.annotation.app import MAX_BODY, Server, make_app  # noqa: E402
from agents.annotation.log import MAX_SECONDS, Log, read_log  # noqa: E402
from agents.annotation.pairs import Pair  # noqa: E402
from agents.annotation.study import Study  # noqa: E402

PAIRS = [Pair(f"prompt {n}", f"<b>first</b> {n}", f"second {n}") for n in range(3)]
BASE = "http://127.0.0.1:8765"
OWN = {"Origin": BASE}


@pytest.fixture
def study(tmp_path):
    with Log(tmp_path / "j.jsonl") as log:
        yield Study(PAIRS, log)


@pytest.fixture
def client(study):
    return make_app(study).test_client()


def post(client, path, body, headers=OWN, base=BASE):
    return client.post(path, json=body, headers=headers, base_url=base)


def judgement(pair=None, **changes):
    return {"annotator": "Ada", "pair": (pair or PAIRS[0]).id, "answer": "left", "seconds": 1.5, **changes}


# what it answers


def test_a_pair_is_shown_without_saying_which_is_a(client, study):
    state = post(client, "/state", {"annotator": " Ada "}).json
    assert (state["annotator"], state["done"], state["total"], state["can_undo"], state["summary"]) == ("Ada", 0, 3, False, None)
    pair = study.pairs[state["pair"]["id"]]
    assert set(state["pair"]) == {"id", "prompt", "left", "right"}
    expected = (pair.a, pair.b) if study.side("Ada", pair.id) == "a" else (pair.b, pair.a)
    assert (state["pair"]["left"], state["pair"]["right"]) == expected


def test_judging_undoing_and_the_end(client, study):
    state = post(client, "/state", {"annotator": "Ada"}).json
    while state["pair"]:
        state = post(client, "/judge", judgement(study.pairs[state["pair"]["id"]])).json
    assert state["done"] == 3 and state["summary"]["annotators"] == [
        {"name": "Ada", "left": 3, "right": 0, "tie": 0, "skip": 0, "seconds": 1.5}
    ]
    undone = post(client, "/undo", {"annotator": "Ada"}).json
    assert undone["undone"] == "left" and undone["pair"] and undone["done"] == 2
    assert [post(client, "/undo", {"annotator": "Ada"}).status_code for _ in range(3)] == [200, 200, 409]


def test_the_page_and_its_headers(client):
    for path, kind in (("/", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css")):
        got = client.get(path, base_url=BASE)
        assert got.status_code == 200 and got.content_type == f"{kind}; charset=utf-8"
        assert "default-src 'none'" in got.headers["Content-Security-Policy"] and "unsafe" not in got.headers["Content-Security-Policy"]
        assert got.headers["X-Content-Type-Options"] == "nosniff" and got.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "http://" not in got.text and "https://" not in got.text, "all of it comes from here"
    assert "Content-Security-Policy" in client.get("/nowhere", base_url=BASE).headers


# what it refuses


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:8765", "localhost.evil.example:8765", "[::1]:8765"])
def test_other_hosts_see_nothing(client, host):
    for got in (
        client.get("/", base_url=f"http://{host}"),
        post(client, "/state", {"annotator": "Ada"}, {"Origin": f"http://{host}"}, f"http://{host}"),
    ):
        assert got.status_code == 400 and "annotator" not in got.text


def test_localhost_is_this_machine_too(client):
    assert post(client, "/state", {"annotator": "Ada"}, {"Origin": "http://localhost:1"}, "http://localhost:1").status_code == 200


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "http://127.0.0.1:1", "https://127.0.0.1:8765", "http://localhost:8765", ""]
)
def test_other_sites_send_nothing(client, study, origin):
    headers = {} if origin is None else {"Origin": origin}
    for path, body in (("/state", {"annotator": "Ada"}), ("/judge", judgement()), ("/undo", {"annotator": "Ada"})):
        assert post(client, path, body, headers).status_code == 403
    assert not study.judgements()


def test_forms_of_other_sites_are_no_requests(client, study):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert client.post("/judge", data=json.dumps(judgement()), content_type=kind, headers=OWN, base_url=BASE).status_code == 415
    assert client.get("/judge", base_url=BASE).status_code == 405 and not study.judgements()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (judgement(Pair("un", "kno", "wn")), 404),
        (judgement(pair=PAIRS[0]) | {"pair": ["x"]}, 404),
        (judgement(answer="a"), 400),
        (judgement(answer=["left"]), 400),
        (judgement(seconds=-1), 400),
        (judgement(seconds="1"), 400),
        (judgement(seconds=True), 400),
        (judgement(seconds=MAX_SECONDS + 1), 400),
        (judgement(seconds=float("nan")), 400),
        (judgement(annotator=""), 400),
        (judgement(annotator="x" * 65), 400),
        (judgement(annotator="a\u202eb"), 400),
        (judgement(annotator=7), 400),
        (judgement(left="a"), 400),
        ({"annotator": "Ada"}, 400),
        ([judgement()], 400),
        (None, 415),
        ("x", 400),
    ],
)
def test_what_is_no_judgement_is_not_kept(client, study, body, status):
    got = post(client, "/judge", body)
    assert got.status_code == status and got.json["error"] and not study.judgements()


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 4000, b"\xff", b'{"annotator": "\\ud800"}', b'{"annotator": 1' + b"0" * 4000 + b"}"])
def test_what_is_no_json_is_refused(client, data):
    got = client.post("/state", data=data, content_type="application/json", headers=OWN, base_url=BASE)
    assert got.status_code == 400 and got.json["error"]


def test_large_bodies_are_not_read(client):
    assert post(client, "/state", {"annotator": "x" * MAX_BODY}).status_code == 413


@pytest.mark.parametrize(
    "path", ["/../pyproject.toml", "/..%2f..%2fpyproject.toml", "/page/page.js", "//etc/passwd", "/page.js/", "/.git/config"]
)
def test_no_file_is_found_by_its_path(client, path):
    assert client.get(path, base_url=BASE).status_code in (404, 308)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(SCALARS, lambda inner: st.dictionaries(st.text(max_size=9), inner))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(["/state", "/judge", "/undo"]), body=st.fixed_dictionaries({"annotator": st.text(max_size=70) | JSON}) | JSON)
def test_no_request_breaks_the_server(client, path, body):
    got = post(client, path, body)
    assert got.status_code in (200, 400, 409, 415)
    if got.status_code != 200:
        assert isinstance(got.json["error"], str)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(min_size=1, max_size=40), min_size=3, max_size=3))
def test_texts_arrive_as_they_are(tmp_path_factory, texts):
    prompt, a, b = (text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") for text in texts)
    with Log(tmp_path_factory.mktemp("log") / "j.jsonl") as log:
        study = Study([Pair(prompt, a, b + "x" * (a == b))], log)
        shown = post(make_app(study).test_client(), "/state", {"annotator": "Ada"}).json["pair"]
    assert shown["prompt"] == prompt and {shown["left"], shown["right"]} == {a, b + "x" * (a == b)}


def test_what_cannot_be_written_is_said_and_does_not_count(client, study, monkeypatch):
    def full(file, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    got = post(client, "/judge", judgement())
    assert got.status_code == 507 and got.json["error"] == "Not saved: No space left on device."
    monkeypatch.undo()
    assert post(client, "/state", {"annotator": "Ada"}).json["done"] == 0
    assert post(client, "/judge", judgement()).status_code == 200 and len(study.judgements()) == 1


# on the wire


@pytest.fixture
def address(study):
    with Server(study) as server:
        thread = Thread(target=server.run, daemon=True)
        thread.start()
        yield "127.0.0.1", int(server.url.rstrip("/").rpartition(":")[2])
    thread.join(30)
    assert not thread.is_alive()


def say(address, data):
    """What the server answers to bytes until it closes; nothing when it refuses to hear them out."""
    answer = b""
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        try:
            while received := connection.recv(65_536):
                answer += received
        except ConnectionResetError:  # it had heard enough
            pass
    return answer


def request(address, body, **headers):
    lines = {
        "Host": "{}:{}".format(*address),
        "Origin": "http://{}:{}".format(*address),
        "Content-Type": "application/json",
        "Connection": "close",
    }
    lines |= {"Content-Length": str(len(body))} | {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
    return say(address, f"POST /state HTTP/1.1\r\n{head}\r\n".encode() + body)


BODY = b'{"annotator": "Ada"}'


def test_requests_on_the_wire(address):
    assert b" 200 " in request(address, BODY).partition(b"\r\n")[0]
    refused = {
        b" 400 ": [{"Host": "evil.example", "Origin": "http://evil.example"}, {"Content_Length": "-5"}, {"Content_Length": "five"}],
        b" 403 ": [{"Origin": "http://evil.example"}, {"Origin": None}],
        b" 413 ": [{"Content_Length": str(10**12)}],
        b" 501 ": [{"Transfer_Encoding": "gzip"}],
    }
    for status, cases in refused.items():
        for headers in cases:
            assert status in request(address, BODY, **headers).partition(b"\r\n")[0], headers
    assert b"Server:" not in request(address, BODY)


def test_a_body_in_chunks_is_limited_too(address):
    chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
    for chunks in (2, 8):
        answer = request(address, chunk * chunks + b"0\r\n\r\n", Content_Length=None, Transfer_Encoding="chunked")
        assert not answer or b" 413 " in answer.partition(b"\r\n")[0]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(min_size=1, max_size=200))
def test_noise_does_not_stop_it(address, noise):
    say(address, noise + b"\r\n\r\n")
    assert b" 200 " in request(address, BODY).partition(b"\r\n")[0]


def test_judgements_that_come_at_once_are_kept_each(address, study, tmp_path):
    def judge(name):
        for pair in PAIRS:
            body = json.dumps({"annotator": name, "pair": pair.id, "answer": "tie", "seconds": 1}).encode()
            head = "POST /judge HTTP/1.1\r\nHost: {0}:{1}\r\nOrigin: http://{0}:{1}\r\nConnection: close\r\n".format(*address)
            answer = say(address, f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            assert b" 200 " in answer.partition(b"\r\n")[0]

    threads = [Thread(target=judge, args=(f"annotator {n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records, problems = read_log(tmp_path / "j.jsonl")
    assert not problems and len(records) == len({(one.annotator, one.pair) for one in records}) == 18


def test_it_listens_on_this_machine_alone(address):
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: only asks which address of this machine would be used
        outside = probe.getsockname()[0]
    if outside.startswith("127."):
        pytest.skip("this machine has no other address")
    with pytest.raises(OSError):
        socket.create_connection((outside, address[1]), timeout=5)
