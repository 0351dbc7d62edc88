"""The page of a transcript, read back with the standard library's parser, which knows nothing of how it was made."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import gymnasium as gym
import pytest

from lm_envs import html, svg
from lm_envs.rendering import printable
from lm_envs.transcripts import TokenTrace, Transcript, Turn
from lm_envs.validation import play
from tests.lm_envs.toys import EchoEnv

VOID = {"meta", "input"}
HOSTILE = [
    "<script>alert(1)</script>",
    "\"quotes\" and 'quotes'",
    "</style><style>body{display:none}</style>",
    "<img src=x onerror=alert(1)>",
    "&lt;b&gt; &#60;script&#62;",
    "--><!-- ]]>",
    "</title></main></body></html>",
    "\x00\x07\x1b[2J\r\x9b",
    "\u202egnirts\u2066",
    "\ud83d lone",
    "👩‍👩‍👧 🙂",
    "مرحبا",
    "\u2028\u2029",
    "javascript:alert(1)",
]


class Reader(HTMLParser):
    """Checks that tags nest, and keeps what there is."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    @property
    def content(self):
        return "".join(self.text)

    def values(self, name):
        return [value for key, value in self.attributes if key == name]


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def turn(reply="hello", **more):
    return Turn(reply, **{"answers": ({"role": "user", "content": "thanks"},), "reward": 0.5, "metrics": {"success": 1.0}, **more})


def transcript(*turns, **more):
    opening = ({"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"})
    return Transcript(**{"env": "tests/Toy-v0", "scenario": "test/1", "opening": opening, "turns": turns or (turn(),), **more})


def trace(n, **columns):
    return TokenTrace(tuple(f" w{place}" for place in range(n)), **columns)


# What is on a page.


def test_an_episode_from_beginning_to_end():
    env = EchoEnv(rounds=2, split="test")
    shown = Transcript.of(play(env, "expert", seed=3), env="tests/Echo-v0", details={"player": "expert", "seed": 3})
    assert (len(shown.turns), shown.end, shown.turns[1].answers) == (2, "terminated", ())
    assert shown.turns[0].answers[0] == {"role": "tool", "name": "judge", "content": "True"}
    assert shown.reward == pytest.approx(sum(turn.reward for turn in shown.turns)) and shown.last_metrics["success"] == 1
    reader = read(html.page(shown))
    for text in ("tests/Echo-v0", shown.scenario, "Repeat the number.", "judge", shown.turns[0].reply, "success", "player", "expert"):
        assert text in reader.content
    assert reader.tags.count("article") == len(shown.opening) + sum(1 + len(turn.answers) for turn in shown.turns)


@pytest.mark.parametrize("family", ["Sentiment", "Dialogue", "CustomerService"])
@pytest.mark.parametrize("player", ["expert", "random", "noop"])
def test_every_family_and_player(family, player):
    env = gym.make(f"lm_envs/{family}-v0", disable_env_checker=True, split="test").unwrapped
    shown = [html.page(Transcript.of(play(env, player, seed=5), env=f"lm_envs/{family}-v0")) for _ in range(2)]
    assert shown[0] == shown[1]
    read(shown[0])


def test_calls_and_results_are_laid_out():
    call = '<tool_call>{"name": "refund", "arguments": {"order_id": "4411", "amount": 29.0}}</tool_call>'
    result = '{"order":"4411","lines":[{"line":"1","price":"29.00"},{"line":"2","price":"7.00"}],"ok":true,"none":[]}'
    page = html.page(transcript(turn(call, answers=({"role": "tool", "name": "refund", "content": result},))))
    assert "tool_call" not in page and "agent, tool call" in page
    for cell in ("<th>amount</th><td><bdi>29.0</bdi></td>", "<th>line</th><th>price</th>", "<bdi>7.00</bdi>", "<bdi>yes</bdi>", "none"):
        assert cell in page
    error = html.page(transcript(turn(call, answers=({"role": "tool", "name": "refund", "content": '{"error":"no order"}'},))))
    assert '<div class="bad"><table>' in error
    assert "agent, malformed call" in html.page(transcript(turn('{"name": 1', answers=({"role": "tool", "name": "x", "content": "bad"},))))
    # Where no tool answers, what looks like a call is what was said.
    assert "&lt;tool_call&gt;" in html.page(transcript(turn(call)))


def test_deep_and_broken_results_are_shown_as_text():
    for content in (
        "{" * 5000,
        "[" * 50_000,
        '{"a":' * 900 + "1" + "}" * 900,
        '{"a": [[[[[[[[1]]]]]]]]}',
        "[1, 2]",
        "{}",
        "1" * 5000,
        '{"a": NaN}',
    ):
        read(html.page(transcript(turn("x", answers=({"role": "tool", "name": "t", "content": content},)))))


def test_mood_reward_and_what_moved():
    rows = [{"satisfaction": s, "rule_late": float(k), "calls": float(k), "success": 0.0} for k, s in enumerate((3.0, 2.5, 4.0))]
    turns = [turn(metrics=row, rewards={"outcome": 0.2, "violation": -0.1}) for row in rows]
    page = html.page(transcript(*turns, metrics={"satisfaction": 3.0, "rule_late": 0.0, "rule_kept": 0.0, "calls": 0.0}))
    reader = read(page)
    assert {"satisfaction", "calls", "reward of each turn, by component"} <= set(reader.values("aria-label"))
    assert "after turn 2: 2.5" in reader.content and "turn 3, violation: -0.1" in reader.content
    assert "rule_late 0 → 1" in reader.content and reader.tags.count("rect") >= 6
    assert not re.search(r"rule_kept \d", reader.content)


def test_an_episode_that_was_left():
    assert "Left before the end." in html.page(transcript())
    assert "Left before the end." not in html.page(transcript(end="terminated"))
    assert "truncated" in html.page(transcript(end="truncated"))
    read(html.page(transcript(turns=())))


# Tokens.


def test_tokens_carry_what_is_known_of_them():
    columns = {"rewards": (0.0, 1.0), "log_probs": (-0.25, -2.0), "values": (0.5, -0.5), "kl": (0.0, 0.1)}
    reader = read(html.page(transcript(turn(tokens=trace(2, **columns)))))
    assert "log-prob -0.25, value 0.5, reward 0, KL 0" in reader.values("title")
    assert {"by-p", "by-v", "by-r", "by-k"} <= set(reader.values("id"))
    classes = [value for value in reader.values("class") if value and re.match(r"t( |$)", value)]
    assert classes == ["t p1 v8", "t p8 w8 r8 k8"]
    assert [f"{name} of each token" for name in ("log-prob", "value", "reward", "KL")] == [
        label for label in reader.values("aria-label") if label.endswith("of each token")
    ]


def test_only_known_columns_are_offered():
    reader = read(html.page(transcript(turn(tokens=trace(3, log_probs=(-1.0, -2.0, -3.0))), turn())))
    assert [value for value in reader.values("id") if value.startswith("by-")] == ["by-p"]
    assert reader.tags.count("input") == 1
    assert "input" not in read(html.page(transcript())).tags


def test_line_feeds_and_parts_of_characters_show():
    reader = read(html.page(transcript(turn(tokens=TokenTrace(("a\n", "", "🙂"), log_probs=(-1.0, -1.0, -1.0))))))
    assert "a↵\n" in reader.content and "◌" in reader.content and "🙂" in reader.content


def test_columns_must_fit():
    with pytest.raises(ValueError, match="kl has 2 entries for 3 tokens"):
        trace(3, kl=(0.0, 0.0))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e300, -1e-300, -0.0])
def test_numbers_of_any_kind(value):
    columns = {name: (value, 1.0, value) for name in ("rewards", "log_probs", "values", "kl")}
    shown = turn(reward=value, rewards={"a": value, "b": 1.0}, metrics={"satisfaction": value, "x": value}, tokens=trace(3, **columns))
    page = html.page(transcript(shown, turn(metrics={"x": 2.0}), metrics={"satisfaction": 1.0, "x": 1.0}, details={"lr": value}))
    reader = read(page)
    places = [value for name in ("x", "y", "cx", "cy", "width", "height", "points") for value in reader.values(name)]
    assert places and not any("nan" in place or "inf" in place for place in places)


# Untrusted text.


def everywhere(text):
    """A transcript that has a text wherever there can be one."""
    return Transcript(
        text,
        text,
        ({"role": "system", "content": text}, {"role": "user", "content": text}),
        (
            turn(
                text,
                answers=({"role": "tool", "name": text, "content": text}, {"role": "user", "content": text}),
                rewards={text: -1.0, "b": 2.0},
            ),
            turn(
                json.dumps({"name": "call " + text, "arguments": {"a": text}}),
                answers=({"role": "tool", "name": "t", "content": '{"k": [{"c": "<b>&"}]}'},),
                metrics={text: 3.0, "rule_" + text: 1.0},
                tokens=TokenTrace((text, "x"), log_probs=(-1.0, -2.0)),
            ),
        ),
        {text: 1.0},
        {text: text},
        "truncated",
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_text_stays_text(text):
    plain, page = html.page(everywhere("harmless")), html.page(everywhere(text))
    page.encode()
    reader = read(page)
    assert reader.tags == read(plain).tags
    assert {name for name, _ in reader.attributes} == {name for name, _ in read(plain).attributes}
    assert printable(text) in reader.content
    assert not set(page) & set("\x00\x07\x1b\r\x9b\u202e\u2066\u2028\u2029\ud83d")


def test_nothing_comes_from_elsewhere_and_nothing_runs():
    page = html.page(everywhere("https://example.org/x.js"))
    reader = read(page)
    assert not {"script", "link", "iframe", "object", "embed", "img", "form", "a", "base"} & set(reader.tags)
    assert not [name for name, _ in reader.attributes if name.startswith("on") or name in ("src", "href", "style")]
    assert "@import" not in page and "url(" not in page
    (policy,) = [value for value in reader.values("content") if "default-src" in value]
    assert policy.startswith("default-src 'none'; style-src 'sha256-") and "unsafe" not in policy
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy


# Files.


def test_the_same_transcript_is_the_same_file(tmp_path):
    shown = everywhere("späte Größe \ud800")
    for name in "ab":
        html.write(shown, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == html.page(shown).encode()
    assert html.page(replace(shown, env="other")) != html.page(shown)


@pytest.mark.parametrize(
    ("value", "sign", "shown"),
    [(0.0, False, "0"), (-0.0, True, "0"), (0.5, True, "+0.5"), (-0.00001, True, "0"), (1 / 3, False, "0.333"), (1234.5, False, "1,234"),
     (100.0, False, "100"), (10.0, True, "+10"), (float("nan"), True, "nan")],
)  # fmt: skip
def test_numbers(value, sign, shown):
    assert svg.number(value, sign) == shown
