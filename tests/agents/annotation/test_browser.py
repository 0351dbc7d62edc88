"""The page in a real browser, used by keyboard."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("flask", reason="needs the extra annotate")
pytest.importorskip("selenium", reason="needs selenium, of the extra dev")

from selenium.common.exceptions import JavascriptException  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

from agents.annotation.log import Log, read_log  # noqa: E402
from agents.annotation.pairs import Pair, write_pairs  # noqa: E402
from agents.annotation.study import Study  # noqa: E402
from tests.agents.annotation.browser import Page, browser, missing, serving  # noqa: E402

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "there is one")

ROOT = Path(__file__).parents[3]
PAIRS = [Pair(f"prompt {n}", f"first {n}", f"second {n}") for n in range(4)]


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture
def page_of(driver, tmp_path):
    """The page of some pairs, and where its judgements go."""
    opened = []

    def make(pairs, **arguments):
        log = Log(tmp_path / "j.jsonl")
        server = serving(Study(pairs, log, **arguments))
        opened.extend([server, log])
        return Page(driver, server.__enter__())

    driver.get_log("browser")
    yield make
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    for one in opened:
        one.__exit__(None, None, None)


def kept(tmp_path):
    records, problems = read_log(tmp_path / "j.jsonl")
    assert not problems
    return records


def test_a_run_by_keyboard(page_of, tmp_path):
    page = page_of(PAIRS)
    page.size(1200, 800)
    page.enter("Zoë  van Dijk")
    assert page.text("name") == "Zoë van Dijk" and page.text("count") == "0 of 4" and page.focused() == "prompt-label"
    for place, (key, meant) in enumerate([(Keys.ARROW_LEFT, "left"), ("2", "right"), (Keys.ARROW_DOWN, "tie"), ("S", "skip")], start=1):
        shown = page.pair()
        page.press(key)
        last = kept(tmp_path)[-1]
        pair = next(pair for pair in PAIRS if pair.id == last.pair)
        sides = {"left": last.left, "right": {"a": "b", "b": "a"}[last.left]}
        assert last.choice == sides.get(meant, meant)
        assert shown == (pair.prompt, getattr(pair, sides["left"]), getattr(pair, sides["right"])), "what was on the screen is what is kept"
        assert last.annotator == "Zoë van Dijk" and last.seconds > 0 and page.text("count") == f"{place} of 4"
    assert page.text("said") == "Saved: skipped. That was the last pair." and page.focused() == "end-label"
    page.press("u", "u")
    assert page.text("said") == "Undone: tie. Pair 3 of 4." and page.text("count") == "2 of 4"
    before = page.pair()
    page.driver.refresh()
    page.wait(lambda: page.text("count") == "2 of 4")
    assert page.pair() == before and page.text("name") == "Zoë van Dijk", "it goes on where it stopped"
    page.press("1", "t")
    assert "You have judged 4 pairs" in page.text("thanks") and not page.element("keys").get_attribute("hidden")
    assert [type(record).__name__[0] for record in kept(tmp_path)] == list("JJJJRRJJ")
    assert page.complaints() == []


def test_help_and_buttons(page_of, tmp_path):
    page = page_of(PAIRS)
    page.enter("Ada")
    page.type("?")
    page.wait(lambda: page.element("help").is_displayed())
    page.type("1", "t")  # judges nothing behind the dialog
    page.type(Keys.ESCAPE)
    page.wait(lambda: not page.element("help").is_displayed())
    assert kept(tmp_path) == []
    page.press("2")
    page.type("?")
    page.wait(lambda: page.focused() == "shortcuts")
    page.type(Keys.SPACE, Keys.TAB, Keys.ENTER)  # keys off, and close
    page.wait(lambda: not page.element("help").is_displayed())
    page.type("1", "s", Keys.ARROW_RIGHT)
    assert len(kept(tmp_path)) == 1
    page.driver.execute_script("document.getElementById('prompt-label').focus()")
    page.type(Keys.TAB)
    assert page.focused() == "do-left"
    outline = page.driver.execute_script("return getComputedStyle(document.activeElement).outline")
    assert "3px" in outline, "the focus is seen"
    page.press(Keys.ENTER)
    assert page.text("said") == "Saved: reply 1. Pair 3 of 4." and page.complaints() == []


def test_markup_is_text(page_of, tmp_path):
    code = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\"></div><h1>&lt;"
    page = page_of([Pair(code, "a " + code, "b " + code), PAIRS[0]])
    page.enter("<b>Ada</b>" + "<img src=x>")
    seen = [page.pair()]
    page.press("1")
    seen.append(page.pair())
    page.press("1")
    assert (code, {f"a {code}", f"b {code}"}) in [(prompt, {*replies}) for prompt, *replies in seen]
    assert page.driver.find_element(By.CSS_SELECTOR, "#people tbody td").text == "<b>Ada</b><img src=x>"
    assert page.driver.title == "Which reply is better?" and not page.driver.find_elements(By.CSS_SELECTOR, "img, b, main script, main h1")
    assert page.complaints() == []


def test_the_policy_stops_code_that_gets_in(page_of):
    page = page_of(PAIRS)
    page.enter("Ada")
    for sink in ("setAttribute('onclick', 'document.title = 1')", "innerHTML = '<b>x</b>'"):
        with pytest.raises(JavascriptException, match="Trusted"):
            page.driver.execute_script(f"document.body.{sink}")
    assert page.driver.title == "Which reply is better?"


def test_two_annotators_and_their_agreement(page_of, tmp_path):
    page = page_of(PAIRS)
    for name, answers in (("Ada", "aabt"), ("Bo", "abbt")):
        wanted = dict(zip((pair.prompt for pair in PAIRS), answers, strict=True))
        page.enter(name)
        for _ in PAIRS:
            prompt, left, _ = page.pair()
            answer = wanted[prompt]
            page.press("t" if answer == "t" else "1" if left.startswith("first") == (answer == "a") else "2")
    cells = [cell.text for cell in page.driver.find_elements(By.CSS_SELECTOR, "#agreement tbody td")]
    # 3 of 4 agree; by chance (2·1 + 1·2 + 1·1)/16: kappa = (12 − 5)/(16 − 5)
    assert cells[:4] == ["Ada, Bo", "4", "75 %", "0.64"] and len(cells) == 5
    people = [row.text.split()[0] for row in page.driver.find_elements(By.CSS_SELECTOR, "#people tbody tr")]
    assert people == ["Ada", "Bo"] and len(kept(tmp_path)) == 8


def test_the_down_arrow_scrolls_long_texts(page_of, tmp_path):
    page = page_of([Pair("long", "line\n" * 200, "other\n" * 200), PAIRS[0]], seed=0)
    page.enter("Ada")
    while page.pair()[0] != "long":
        page.press("s")
    before = len(kept(tmp_path))
    page.type(Keys.ARROW_DOWN)
    page.wait(lambda: page.driver.execute_script("return scrollY") > 0)
    assert len(kept(tmp_path)) == before
    assert page.element("do-left").is_displayed(), "the buttons stay in sight"


def test_what_was_not_saved_is_said(page_of, tmp_path, monkeypatch):
    page = page_of(PAIRS)
    page.enter("Ada")
    before = page.pair()

    def full(file, data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        page.type("1")
        page.wait(lambda: page.text("problem"))
    assert page.text("problem") == "Not saved: No space left on device." and page.pair() == before and page.text("count") == "0 of 4"
    page.press("1")
    assert page.text("problem") == "" and len(kept(tmp_path)) == 1


def test_a_second_window_does_not_judge_a_pair_twice(page_of, tmp_path):
    page = page_of(PAIRS)
    page.enter("Ada")
    first = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    page.open("?annotator=Ada")
    page.press("1")
    page.driver.close()
    page.driver.switch_to.window(first)
    page.type("2")
    page.wait(lambda: page.text("problem"))
    assert "judged already" in page.text("problem") and page.text("count") == "1 of 4" and len(kept(tmp_path)) == 1


def test_a_bad_name_is_asked_for_again(page_of):
    page = page_of(PAIRS)
    page.driver.get(page.url + "?annotator=%E2%80%AE")
    page.wait(lambda: page.text("problem"))
    assert "another name" in page.text("problem") and page.focused() == "given"


def contrast(first, second):
    """The contrast ratio of two opaque colours (WCAG 2.2)."""

    def luminance(colour):
        channels = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted(map(luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


COLOURS = """
const seen = [];
for (const element of document.querySelectorAll("h1, h2, p, bdi, span, .text, button:not(:disabled), kbd, th, td, caption, label, dd")) {
  if (!element.checkVisibility()) continue;
  let under = element;
  while (getComputedStyle(under).backgroundColor === "rgba(0, 0, 0, 0)") under = under.parentElement;
  seen.push([element.outerHTML.slice(0, 60), getComputedStyle(element).color, getComputedStyle(under).backgroundColor]);
}
return seen;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_and_fits_a_narrow_screen(page_of, scheme):
    page = page_of([Pair("word" * 60, "https://example.org/" + "x" * 200, "short"), PAIRS[0]])
    page.prefer(scheme)
    page.enter("Ada with a name that is as long as names can be in this place ok")
    for step in ("", "?", "1", "1"):
        if step == "?":
            page.type("?")
            page.wait(lambda: page.element("help").is_displayed())
        elif step:
            page.press(step)
        for what, colour, ground in page.driver.execute_script(COLOURS):
            assert contrast(colour, ground) >= 4.5, (what, colour, ground)
        if step == "?":
            page.type(Keys.ESCAPE)
            page.wait(lambda: not page.element("help").is_displayed())
        for width in (320, 390, 1280):
            page.size(width, 700)
            assert page.driver.execute_script("return document.documentElement.scrollWidth") <= width
    body = page.driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (contrast(body, "rgb(0, 0, 0)") < 4.5) == (scheme == "dark")
    assert page.complaints() == []


SERVE = """
import sys
from pathlib import Path
from rich.console import Console
from agents.annotation.command import beside, serve
from agents.annotation.pairs import read_pairs
serve(read_pairs(sys.argv[1]), beside(sys.argv[1]), Console(), seed=0, overlap=1.0, port=int(sys.argv[2]))
"""  # what the command does once its arguments are read


def started(pairs, port=0):
    """A server in a process of its own, its address, its port and what it said."""
    command = [sys.executable, "-c", SERVE, str(pairs), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
    said = ""
    for line in process.stdout:
        said += line
        if found := re.search(r"http://127\.0\.0\.1:(\d+)/", line):
            return process, found[0], int(found[1]), said
    raise AssertionError(said)


def test_a_server_that_is_killed_loses_nothing(driver, tmp_path):
    write_pairs([Pair(f"prompt {n}", f"first {n}", f"second {n}") for n in range(6)], tmp_path / "pairs.jsonl")
    file = tmp_path / "pairs.judgements.jsonl"
    driver.get_log("browser")
    process, url, port, _ = started(tmp_path / "pairs.jsonl")
    try:
        page = Page(driver, url)
        page.enter("Ada")
        page.press("1", "2", "t")
        process.kill()
        process.wait()
        assert len(file.read_bytes().splitlines()) == 3, "each was on the disk before the next pair came"
        before = page.pair()
        page.type("1")
        page.wait(lambda: page.text("problem"))
        assert "Nothing was saved" in page.text("problem") and page.pair() == before and page.text("count") == "3 of 6"
        with file.open("ab") as log:
            log.write(b'{"version": 1, "kind": "judg')  # what a kill in the middle of a write leaves
        process, _, _, said = started(tmp_path / "pairs.jsonl", port)
        assert "line 4: not JSON (the last line: its writer was stopped); passed over" in said
        assert "6 pairs, 3 judgements by 1 annotators so far" in said
        page.press("1")
        assert page.text("count") == "4 of 6" and page.text("problem") == ""
        page.driver.refresh()
        page.wait(lambda: page.text("count") == "4 of 6")
        page.press("u", "1", "2", "2")
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=120)[0]
        assert process.returncode == 0 and f"6 judgements: {file}" in rest.replace("\n", "")
    finally:
        process.kill()
        process.communicate()
    records, problems = read_log(file)
    assert len(records) == 8 and len(problems) == 1
    assert json.loads(file.read_bytes().splitlines()[0])["choice"] in ("a", "b")
