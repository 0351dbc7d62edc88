import json
import subprocess
import sys

import pytest

pytest.importorskip("flask", reason="needs the extra annotate")

from agents.annotation.app import Server  # noqa: E402
from agents.annotation.command import beside  # noqa: E402
from agents.annotation.log import Judgement, Log, Retraction  # noqa: E402
from agents.annotation.pairs import Pair, read_pairs, write_pairs  # noqa: E402
from agents.cli import main  # noqa: E402
from tests.agents.tasks import save_small_model  # noqa: E402

PAIRS = [Pair(f"prompt {n}", f"first {n}", f"second {n}") for n in range(4)]
ENV = ["--env", "tests/EarlyTokens-v0", "--env-kwargs", '{"max_turns": 2}']


@pytest.fixture
def pairs(tmp_path, monkeypatch):
    """A file of pairs, some of which were judged; the server stops at once."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(Server, "run", lambda self: None)
    path = tmp_path / "pairs.jsonl"
    write_pairs(PAIRS, path)
    with Log(beside(path)) as log:
        for name, letters in (("Ada", "aba"), ("Bo", "abb")):
            for pair, letter in zip(PAIRS, letters, strict=False):
                log.append(last := Judgement.now(pair.id, name, letter, "a", 2.0))
        log.append(Retraction.now(last))
    return path


def test_serving_says_what_is_there(pairs, capsys):
    with beside(pairs).open("ab") as file:
        file.write(b'{"half')
    assert main(["annotate", "--pairs", str(pairs), "--port", "0"]) == 0
    said = capsys.readouterr().out
    assert "4 pairs, 5 judgements by 2 annotators so far" in said and "http://127.0.0.1:" in said
    assert "pairs.judgements.jsonl: line 8: not JSON (the last line: its writer was stopped); passed over" in said
    write_pairs(PAIRS[1:], pairs.with_name("fewer.jsonl"))
    assert main(["annotate", "--pairs", str(pairs.with_name("fewer.jsonl")), "--judgements", str(beside(pairs)), "--port", "0"]) == 0
    assert "2 judgements are about pairs that aren't among these" in capsys.readouterr().out


def test_the_report(pairs, tmp_path, capsys):
    assert main(["annotate", "--report", str(beside(pairs)), "--json", str(tmp_path / "r.json")]) == 0
    said = capsys.readouterr().out
    for part in ("Ada, Bo", "1.00 … 1.00", "b is preferred to a: 0.333", "1 judgements were taken back"):
        assert part in said
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["agreement"][0]["kappa"] == {"pairs": 2, "observed": 1.0, "kappa": 1.0, "low": 1.0, "high": 1.0}


def test_the_export_is_the_preference_format(pairs, tmp_path, capsys):
    out = tmp_path / "preferences.jsonl"
    assert main(["annotate", "--pairs", str(pairs), "--export", str(out)]) == 0
    assert [json.loads(line) for line in out.read_text().splitlines()] == [
        {"prompt": "prompt 0", "chosen": "first 0", "rejected": "second 0"},
        {"prompt": "prompt 1", "chosen": "second 1", "rejected": "first 1"},
        {"prompt": "prompt 2", "chosen": "first 2", "rejected": "second 2"},
    ]
    assert "3 preferences" in capsys.readouterr().out
    assert len(read_pairs(out, {"a": "chosen", "b": "rejected"})) == 3


def test_two_models_write_the_pairs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Server, "run", lambda self: None)
    model = str(save_small_model(tmp_path / "small"))
    new = str(tmp_path / "new.jsonl")
    arguments = ["annotate", "--models", model, model, *ENV, "--episodes", "6", "--port", "0", "--pairs"]
    assert main([*arguments, new]) == 0
    pairs = read_pairs(new)
    assert 1 <= len(pairs) <= 6 and f"{len(pairs)} pairs of 6" in capsys.readouterr().out
    assert main([*arguments, str(tmp_path / "again.jsonl")]) == 0
    assert read_pairs(tmp_path / "again.jsonl") == pairs, "the same seed writes the same"
    assert main([*arguments, new]) == 2
    assert "leave --models out to go on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--pairs or --report must say which file"),
        (["--pairs", "none.jsonl"], "can't read"),
        (["--pairs", "PAIRS", "--port", "70000"], "--port must lie in [0, 65535], got 70000"),
        (["--pairs", "PAIRS", "--overlap", "2"], "overlap must lie in [0, 1]"),
        (["--pairs", "PAIRS", "--columns", '{"c": "d"}'], "columns must name some of"),
        (["--report", "none.jsonl"], "can't read 'none.jsonl'"),
        (["--pairs", "PAIRS", "--judgements", "none.jsonl", "--export", "x.jsonl"], "can't read 'none.jsonl'"),
        (["--models", "tiny", "tiny", "--pairs", "new.csv"], "--models needs a new .jsonl file"),
        (["--models", "tiny", "tiny", "--pairs", "new.jsonl", "--episodes", "0"], "--episodes must be at least 1"),
    ],
)
def test_mistakes_get_one_line(pairs, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["annotate", *(str(pairs) if word == "PAIRS" else word for word in arguments)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and message in error


def test_a_port_that_is_taken_is_one_line(pairs, tmp_path, capsys):
    from agents.annotation.study import Study

    with Log(tmp_path / "other.jsonl") as log, Server(Study(PAIRS, log)) as server:
        port = server.url.rstrip("/").rpartition(":")[2]
        assert main(["annotate", "--pairs", str(pairs), "--port", port]) == 2
    assert f"--port {port}: Address already in use" in capsys.readouterr().err
    Log(beside(pairs)).close()  # was let go


def test_undecided_pairs_are_no_preferences(pairs, tmp_path, capsys):
    out = tmp_path / "preferences.jsonl"
    Log(tmp_path / "empty.jsonl").close()
    assert main(["annotate", "--pairs", str(pairs), "--judgements", str(tmp_path / "empty.jsonl"), "--export", str(out)]) == 2
    assert "has a preferred reply" in capsys.readouterr().err and not out.exists()


def test_without_flask_the_remedy_is_said(pairs, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "flask", None)
    monkeypatch.delitem(sys.modules, "agents.annotation.app")
    assert main(["annotate", "--pairs", str(pairs)]) == 2
    assert 'pip install "lm-envs[annotate]"' in capsys.readouterr().err


def test_the_page_needs_no_torch():
    script = "import sys, agents.annotation.app, agents.annotation.command; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
