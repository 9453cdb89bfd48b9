"""The page's files, its policy, and what Ollama's clients find in its place."""

import re
from pathlib import Path

import httpx2
import pytest
from puppet import Puppet, final, running, service_of

import ossia.server.page
from ossia.server.page.routes import POLICY

FOLDER = Path(ossia.server.page.__file__).parent
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def url():
    with running(service_of(Puppet(lambda _: final("Hello.")))) as url:
        yield url


def test_a_browser_gets_the_page_and_ollamas_clients_what_they_look_for(url):
    page = httpx2.get(url, headers=BROWSER)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>Ossia</title>" in page.text
    for probe in (httpx2.get(url), httpx2.get(url, headers={"Accept": "application/json"})):
        assert (probe.status_code, probe.text) == (200, "Ollama is running")
    head = httpx2.head(url, headers=BROWSER)
    assert (head.status_code, head.headers["content-type"]) == (200, "text/plain; charset=utf-8")


def referenced() -> set[str]:
    """What the page's files name of one another."""
    html = (FOLDER / "index.html").read_text("utf-8")
    found = set(re.findall(r'(?:href|src)="([^"]+)"', html))
    for script in FOLDER.glob("*.js"):
        found |= {f"page/{name}" for name in re.findall(r'from "\./([^"]+)"', script.read_text("utf-8"))}
    return found


def test_every_file_the_page_names_is_served_under_the_policy(url):
    names = referenced()
    parts = {f"page/{path.name}" for path in FOLDER.iterdir() if path.suffix in (".js", ".css", ".svg")}
    assert parts == names
    for name in names:
        served = httpx2.get(f"{url}/{name}")
        assert served.status_code == 200, name
        assert served.content == (FOLDER / name.removeprefix("page/")).read_bytes()
        assert served.headers["content-security-policy"] == POLICY
        assert served.headers["x-content-type-options"] == "nosniff"
    assert httpx2.get(f"{url}/page/routes.py").status_code == 404
    assert httpx2.get(f"{url}/page/..%2froutes.py").status_code == 404


def test_nothing_comes_from_elsewhere_and_no_text_becomes_markup(url):
    assert "unsafe" not in POLICY
    assert POLICY.startswith("default-src 'none'")
    for path in (*FOLDER.glob("*.js"), *FOLDER.glob("*.html"), *FOLDER.glob("*.css")):
        text = path.read_text("utf-8")
        assert not re.search(r"https?://", text), path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), (
            path.name
        )
    html = (FOLDER / "index.html").read_text("utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=", html), "the policy forbids it"


def test_both_languages_have_the_same_words_and_the_page_names_no_other():
    words = (FOLDER / "words.js").read_text("utf-8")
    english, korean = re.findall(r"^  (?:en|ko): \{\n(.*?)^  \},", words, re.DOTALL | re.MULTILINE)
    known = [re.findall(r"^    (\w+):", block, re.MULTILINE) for block in (english, korean)]
    assert known[0] == known[1] == sorted(known[0])
    html = (FOLDER / "index.html").read_text("utf-8")
    used = set(re.findall(r'data-(?:word|label|placeholder)="(\w+)"', html))
    for script in FOLDER.glob("*.js"):
        for asked in re.findall(r"\bword\(([^)]*)\)", script.read_text("utf-8")):
            used |= set(re.findall(r'"(\w+)"', asked))
    assert used == set(known[0])
