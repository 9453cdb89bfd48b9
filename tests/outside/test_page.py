"""The page at `/` in a real browser (Chromium): what a person sees, and that the server sees the same."""

import os
import time
from functools import partial
from pathlib import Path

import pytest
from browser import browser
from puppet import Puppet, call, final, running, service_of

from ossia.server.front.gate import Access, Gate
from ossia.server.operations.keys import KeyRing, create

pytestmark = pytest.mark.outside

CODE = "Some **bold** words:\n\n- one\n- two `x`\n\n```python\nprint('<b>no markup</b>')\n```\nThe end."


def turn(prompt: str) -> str:
    last = prompt.rsplit("<|start|>", 2)[1]
    if "What time" in last:
        return call("functions.get_current_time", {}, "I look at the clock.")
    if last.startswith("functions.get_current_time"):
        return final("It is late.", "The clock said it.")
    if "Write on and on" in last:
        return final("word " * 3000, "Long.")
    if "Show code" in last:
        return final(CODE, "They want code.\nI think about <script>alert(1)</script>.")
    return final("Hello there.", "A greeting.")


@pytest.fixture(scope="module")
def puppet():
    return Puppet(turn, seconds_per_token=0.004)


@pytest.fixture(scope="module")
def service(puppet):
    return service_of(puppet)


@pytest.fixture(scope="module")
def url(service):
    with running(service) as url:
        yield url


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture
def tab(opened, url):
    opened.problems.clear()
    opened.open(url)
    opened.until("document.querySelector('#model').value")
    yield opened
    assert not opened.problems


def ask(tab, text: str) -> None:
    tab.run("document.querySelector('#text').focus()")
    tab.type(text)
    tab.press("Enter")
    tab.until("!document.querySelector('#stop').hidden || document.querySelector('.cost')")


def finished(tab) -> None:
    tab.until("document.querySelector('#stop').hidden && document.querySelector('.answer .cost, .error')")


def picture(tab, name: str) -> None:
    """Kept only where somebody wants to look: OSSIA_PICTURES names a folder."""
    if folder := os.environ.get("OSSIA_PICTURES"):
        tab.picture(Path(folder) / f"{name}.png")


def test_an_answer_comes_with_its_thought_folded_and_its_text_rendered(tab):
    ask(tab, "Show code")
    finished(tab)
    picture(tab, "answer")
    assert tab.run("document.querySelector('.answer details').open") is False
    assert "I think about <script>" in tab.run("document.querySelector('.answer details > div').textContent")
    assert tab.run("document.querySelector('.answer strong').textContent") == "bold"
    assert tab.run("[...document.querySelectorAll('.answer li')].map(e => e.textContent)") == ["one", "two x"]
    assert tab.run("document.querySelector('.answer pre').textContent") == "print('<b>no markup</b>')"
    assert tab.run("document.querySelectorAll('.answer b, .answer script').length") == 0
    assert "tokens/s" in tab.run("document.querySelector('.answer .cost').textContent")
    assert tab.run("document.querySelector('#log').getAttribute('aria-busy')") == "false"


def test_a_conversation_goes_on_and_only_what_is_new_is_computed(tab, puppet):
    puppet.prompts.clear()
    ask(tab, "Hi")
    finished(tab)
    tab.run("document.querySelector('.cost').remove()")
    ask(tab, "Hi again")
    finished(tab)
    first, second = puppet.prompts
    assert second[: len(first)] == first
    assert "Hello there.<|end|><|start|>user<|message|>Hi again" in puppet.prompt_text()


def test_shift_and_enter_begin_a_line(tab):
    tab.run("document.querySelector('#text').focus()")
    tab.type("one")
    tab.press("Enter", shift=True)
    tab.type("two")
    assert tab.run("document.querySelector('#text').value") == "one\ntwo"
    assert tab.run("document.querySelectorAll('.you').length") == 0


def test_escape_stops_the_generation_and_what_was_said_stays(tab, puppet, service):
    puppet.left = 0
    ask(tab, "Write on and on")
    tab.until("document.querySelector('.answer > div')?.textContent.length > 40")
    tab.press("Escape")
    tab.until("document.querySelector('#stop').hidden")
    said = tab.run("document.querySelector('.answer > div').textContent")
    for _ in range(200):
        if puppet.left and not service.admission.running:
            break
        time.sleep(0.02)
    assert (puppet.left, service.admission.running) == (1, 0)
    ask(tab, "Hi")
    finished(tab)
    assert said[:20] in puppet.prompt_text()


def test_the_effort_and_the_clock_reach_the_model_and_its_call_is_answered(tab, puppet):
    tab.run("document.querySelector('[value=high]').click(); document.querySelector('#clock').click()")
    puppet.prompts.clear()
    ask(tab, "What time is it?")
    tab.until("document.querySelectorAll('.cost').length === 2")
    picture(tab, "tool")
    assert "Reasoning: high" in puppet.prompt_text(0)
    titles = tab.run("[...document.querySelectorAll('.answer .title')].map(e => e.textContent)")
    assert titles == ["Thought", "Call: get_current_time", "Result", "Thought"]
    first, second = puppet.prompts
    said = puppet.ids(turn(puppet.prompt_text(0)))
    assert second[: len(first) + len(said)] == [*first, *said]
    assert "time_zone" in puppet.prompt_text(1)


def test_an_error_is_shown_in_the_servers_words_and_the_question_kept(tab, puppet, monkeypatch):
    monkeypatch.setattr(puppet, "context_length", 20)
    ask(tab, "Hi")
    tab.until("document.querySelector('.error')")
    picture(tab, "error")
    assert "the context is 20" in tab.run("document.querySelector('.error').textContent")
    assert tab.run("document.querySelector('#text').value") == "Hi"


def test_a_server_that_asks_for_a_key_is_given_it_and_the_tab_keeps_it(opened, puppet, tmp_path):
    path = tmp_path / "keys.json"
    secret = create(path, "browser")
    gate = partial(Gate, service=service_of(puppet), access=Access(keys=KeyRing(path)))
    with running(service_of(puppet), wrap=gate) as url:
        opened.open(url)
        opened.until("!document.querySelector('#unlock').hidden")
        picture(opened, "key")
        assert opened.run("document.activeElement.id") == "key"
        opened.type(secret)
        opened.press("Enter")
        opened.until("document.querySelector('#model').value")
        ask(opened, "Hi")
        finished(opened)
        assert opened.run("document.querySelector('.answer > div').textContent") == "Hello there."
        opened.open(url)
        opened.until("document.querySelector('#model').value")
        assert opened.run("document.querySelector('#unlock').hidden") is True


def test_it_speaks_korean_and_fits_a_phone_in_the_dark(tab, url):
    tab.open(url, language="ko-KR", width=390, dark=True)
    tab.until("document.querySelector('#model').value")
    ask(tab, "Show code")
    finished(tab)
    picture(tab, "phone")
    assert tab.run("document.documentElement.lang") == "ko"
    assert tab.run("document.querySelector('#send').textContent") == "보내기"
    assert tab.run("document.documentElement.scrollWidth") <= 390
