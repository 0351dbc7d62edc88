import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from agents.files import keep, kept
from agents.models import load
from agents.tiny import Row, batches
from benchmarks.__main__ import SERVICE_ARMS, main
from benchmarks.experiments.service import analysis
from benchmarks.experiments.service.study import ARMS, QUICK, Study, text_env, token_envs
from benchmarks.experiments.service.supervised import fit, transcripts
from benchmarks.experiments.service.view import seen
from lm_envs.chat import ChatFormat
from lm_envs.tokens import load_tokenizer

STUDY = Study(**{**QUICK, "transcripts": 3, "max_turns": 14, "max_length": 2048, "max_reply_tokens": 128})


@pytest.fixture(scope="module")
def chat():
    return ChatFormat(load_tokenizer("tiny"))


def message(role, content):
    return {"role": role, "content": content}


def test_what_is_seen_of_a_conversation():
    system, hello, reply, answer = message("system", "s"), message("user", "a"), message("assistant", "b"), message("user", "c")
    whole = (system, hello, reply, answer)
    assert seen(whole, rules=True, memory=True) == whole
    assert seen(whole, rules=False, memory=True) == whole[1:]
    assert seen(whole, rules=True, memory=False) == (system, answer)
    assert seen(whole, rules=False, memory=False) == (answer,)
    assert seen((system, hello, reply), rules=True, memory=False) == (system, hello)  # a customer who says nothing


@pytest.mark.parametrize(("rules", "memory"), [(False, True), (True, False), (False, False)])
def test_the_view_changes_what_is_seen_and_nothing_else(rules, memory):
    whole, view = text_env(replace(STUDY, rules=True), True), text_env(replace(STUDY, rules=rules), memory)
    messages, _ = whole.reset(seed=3)
    assert view.reset(seed=3)[0] == seen(messages, rules, memory)
    over = False
    while not over:
        reply = whole.unwrapped.expert_reply()
        messages, *rest = whole.step(reply)
        shown, *others = view.step(reply)
        assert shown == seen(messages, rules, memory) and others == rest
        over = rest[1] or rest[2]


@pytest.mark.parametrize("rules", [True, False])
@pytest.mark.parametrize("arm", SERVICE_ARMS)
def test_transcripts_are_what_the_token_environments_show(chat, arm, rules):
    study = replace(STUDY, rules=rules)
    expected = transcripts(study, ARMS[arm], chat)
    envs = token_envs(study, ARMS[arm].memory, "tiny", 1, split="train", adversarial=ARMS[arm].adversarial)
    for number in range(STUDY.transcripts):
        shown, _ = envs.reset(seed=STUDY.start_seed + number)
        row, over = None, False
        while not over:
            if row is None or not ARMS[arm].memory:
                row = next(expected)
            for token in chat.encode_reply(envs.envs[0].expert_reply()):
                length = int(shown["attention_mask"][0].sum())
                assert row.ids[:length] == shown["input_ids"][0, :length].tolist()
                assert row.ids[length] == row.labels[length] == token
                before = shown
                shown, _, terminated, truncated, _ = envs.step(np.array([token]))
                over = bool(terminated[0] or truncated[0])
        assert len(row.ids) == int(before["attention_mask"][0].sum()) + 1
    assert next(expected, None) is None


def test_only_replies_are_learnt(chat):
    (row, *_) = transcripts(STUDY, ARMS["ordinary"], chat)
    env = text_env(STUDY, True)
    opening = chat.open(env.reset(seed=STUDY.start_seed)[0])
    assert all(label == -100 for label in row.labels[: len(opening)])
    assert row.labels[len(opening)] == row.ids[len(opening)]


def test_batches_hold_every_row_once():
    rows = [Row(list(range(1, length)), [-100] * (length - 1)) for length in range(2, 40)]
    seen = [ids[ids > 0].numel() for batch in batches(rows, 64, np.random.default_rng(0)) for ids in batch["input_ids"]]
    assert sorted(seen) == sorted(len(row.ids) for row in rows)
    assert (
        max(batch["input_ids"].numel() for batch in batches(rows, 64, np.random.default_rng(0))) <= 2 * 64
    )  # the last row of a batch may be the longest


def test_supervision_lowers_the_loss_of_replies(chat):
    torch.manual_seed(0)
    model, _ = load("tiny")
    rows = list(transcripts(STUDY, ARMS["ordinary"], chat))
    first, later = (fit(model, rows, Study(epochs=1)) for _ in range(2))
    assert later < first


def test_results_are_kept_with_their_settings(tmp_path):
    path = tmp_path / "a" / "result.json"
    assert kept(path, {"seed": 0}) is None
    keep(path, {"seed": 0, "sizes": (1, 2)}, {"x": 1})
    assert kept(path, {"seed": 0, "sizes": (1, 2)})["x"] == 1
    assert kept(path, {"seed": 1, "sizes": (1, 2)}) is None
    assert [file.name for file in path.parent.iterdir()] == ["result.json"]


def result(arm, seed, before, after):
    def judged(values):
        episodes = [{name: value for name in analysis.SHOWN} for value in values]
        return dict.fromkeys(analysis.CUSTOMERS, episodes)

    return {
        "what": {"arm": arm, "seed": seed},
        "tokens": 100,
        "seconds": 60,
        "curve": [(50, 0.1, 0.0), (100, 0.2, 0.5)],
        "before": judged(before),
        "after": judged(after),
    }


def test_gains_and_differences_are_paired():
    results = [result("ordinary", seed, [0.0, 1.0, -1.0], [0.5, 1.5, -0.5]) for seed in (1, 0)]
    results += [result("last message", 0, [0.0, 1.0, -1.0], [0.25, 1.25, -0.75])]
    gain = analysis.gains(results, 50)["success: ordinary"]["ordinary"]["gain"]
    assert (gain.mean, gain.low, gain.high) == (0.5, 0.5, 0.5)
    cell = analysis.differences(results, 50)["success: ordinary"]["ordinary - last message"]
    assert cell["start"].mean == 0 and (cell["after"].low, cell["after"].high) == (0.25, 0.25)
    text = analysis.markdown(results, analysis.tables(results, 50))
    assert "+0.500 [+0.500, +0.500]" in text and "attack_success: ordinary" not in text and "ordinary 2, last message 1" in text


def test_a_short_run_from_end_to_end_is_not_run_twice(tmp_path, capsys):
    out = tmp_path / "service"
    arguments = ["service", "--quick", "--out", str(out), "--seeds", "0", "--arms", "last message", "--jobs", "1"]
    assert main(arguments) == 0
    summary = json.loads((out / "summary.json").read_text())
    assert "success: adversarial, new phrases" in summary["tables"]["gains"]
    assert (out / "learning_curves.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "last-message-0/model/model.safetensors").exists() and (out / "samples.txt").exists()
    times = {path: path.stat().st_mtime_ns for path in out.glob("*/*.json")}
    table = (out / "table.md").read_text()
    assert re.search(r"\| ordinary, new phrases: last message, \w+ \| \d \| [01]\.\d\d \| [01]\.\d\d \|", table)
    assert main(arguments) == 0
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/*.json")} == times
    assert (out / "table.md").read_text() == table
    assert "success: ordinary" in capsys.readouterr().out


def test_the_command_knows_the_arms():
    assert tuple(ARMS) == SERVICE_ARMS
