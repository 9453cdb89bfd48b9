"""The chat in a real (pseudo) terminal: streaming, Ctrl-C, folding, history, leaving."""

import fcntl
import json
import os
import pty
import re
import select
import stat
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "scripted_chat.py"
CTRL_C, CTRL_D, CTRL_T = "\x03", "\x04", "\x14"
PATIENCE_S = 60  # how long a machine under load may take; nothing waits for it when things go well
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[@-Z\\^_=>])")


class Chat:
    """`ossia chat` in a terminal of 100 columns; `screen` is all it has written so far."""

    def __init__(self, home: Path, *argv: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("OSSIA_")},
            "OSSIA_HOME": str(home),
            "OSSIA_LANG": "en",
            "TERM": "xterm",
        }
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), "chat", *argv],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=env,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.raw = b""
        self.screen = ""
        self._seen = 0

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def expect(self, text: str) -> str:
        """Wait until `text` is written after what was expected before; returns what came up to it."""
        while (at := self.screen.find(text, self._seen)) < 0:
            assert self._read(), f"{text!r} was never written:\n{self.screen[self._seen :]}"
        before, self._seen = self.screen[self._seen : at], at + len(text)
        return before

    def end(self) -> int:
        while self._read():
            pass
        return self._process.wait(PATIENCE_S)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._master)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], PATIENCE_S)
        try:
            data = os.read(self._master, 65536) if ready else b""
        except OSError:  # the other end is closed
            data = b""
        self.raw += data
        for _ in range(data.count(b"\x1b[6n")):  # "where is the cursor?"
            os.write(self._master, b"\x1b[1;1R")
        self.screen = _SEQUENCE.sub("", self.raw.decode("utf-8", "replace")).replace("\r\n", "\n")
        return bool(data)


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    started = Chat(tmp_path)
    yield started
    started.close()


def test_an_answer_is_shown_as_it_comes_about(chat: Chat) -> None:
    chat.expect("pocket · q8")
    chat.expect("›")
    chat.type("What is 12345 minus 678?\r")
    chat.expect("I should calculate this.")
    chat.expect('→ calculator {"expression": "12345 - 678"}')
    chat.expect("← 11667")
    chat.expect("12345 minus 678 is 11667.")
    chat.expect("tok/s · first token")
    chat.expect("›")
    chat.expect("tools: calculator")
    chat.type(CTRL_D)
    assert chat.end() == 0


def test_ctrl_c_hurries_then_stops_the_answer_and_not_the_program(chat: Chat) -> None:
    chat.expect("›")
    chat.type("What is 12345 minus 678?\r")
    chat.expect("tok/s")
    chat.type("Think for ever.\r")
    chat.expect("for ever and ever")
    chat.type(CTRL_C)
    chat.expect("answering now (Ctrl-C again stops)")
    chat.expect("Well then, on and on")
    chat.type(CTRL_C)
    chat.expect("stopped")
    chat.type("And now?\r")
    chat.expect("Here ␛[2J again.")
    assert b"\x1b[2J again" not in chat.raw
    chat.type("half a line")
    chat.expect("half a line")
    chat.type(CTRL_C + CTRL_C)
    chat.expect("Ctrl-C again or Ctrl-D leaves")
    chat.expect("›")  # the prompt reads keys again
    chat.type(CTRL_C)
    assert chat.end() == 0


def test_reasoning_folds_while_it_streams_and_typing_waits(chat: Chat) -> None:
    chat.expect("›")
    chat.type("/fold\r")
    chat.expect("reasoning is now folded")
    chat.type("What is 12345 minus 678?\r")
    before = chat.expect("12345 minus 678 is 11667.")
    assert "thought for" in before
    assert "I should calculate" not in before
    chat.expect("tok/s")
    chat.type("/reasoning\r")
    chat.expect("The tool says so.")
    chat.type("Think for ever.\r")
    chat.expect("thinking …")
    chat.type(CTRL_T + "typed ahead")
    chat.expect("I will think of this for ever")
    chat.type(CTRL_C)
    chat.expect("answering now")
    chat.type(CTRL_C)
    chat.expect("stopped")
    chat.expect("typed ahead")
    chat.type(CTRL_C + CTRL_D)
    assert chat.end() == 0


def test_slash_commands_settings_and_files(chat: Chat, tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    chat.expect("›")
    chat.type("/effort hi\t\r")
    chat.expect("effort: high")
    chat.type("/effort huge\r")
    chat.expect("error: 'huge' is not an effort")
    chat.type("/tools off calculator\r")
    chat.expect("calculator: off")
    chat.type("/tools on calculator\r")
    chat.expect("calculator: on")
    chat.type("/system Be brief.\r")
    chat.expect("instructions: Be brief.")
    chat.type("What is 12345 minus 678?\r")
    chat.expect("tok/s")
    chat.type(f"/save {file}\r")
    chat.expect("saved:")
    chat.type("/reset\r")
    chat.expect("forgotten")
    chat.type(f"/load {file}\r")
    chat.expect("(6 messages)")
    chat.type("/nonsense\r")
    chat.expect("there is no /nonsense")
    chat.type("/help\r")
    chat.expect("/load FILE")
    chat.type("/quit\r")
    assert chat.end() == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    saved = json.loads(file.read_text())
    assert (saved["effort"], saved["system"], saved["tools"]) == ("high", "Be brief.", ["calculator"])
    assert saved["messages"][-1]["ids"]["vocabulary"] == "o200k_harmony"
    assert saved["messages"][0] == {"role": "user", "content": "What is 12345 minus 678?"}


def test_a_pasted_text_keeps_its_lines(chat: Chat, tmp_path: Path) -> None:
    chat.expect("›")
    chat.type("\x1b[200~first line\rsecond line\x1b[201~")
    chat.expect("second line")
    chat.type("\r")
    chat.expect("tok/s")
    chat.expect("›")
    chat.type(CTRL_D)
    assert chat.end() == 0
    history = tmp_path / "config" / "history.jsonl"
    assert json.loads(history.read_text().splitlines()[0]) == "first line\nsecond line"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600


def test_nothing_but_the_private_history_is_written(chat: Chat, tmp_path: Path) -> None:
    chat.expect("›")
    chat.type("What is 12345 minus 678?\r")
    chat.expect("tok/s")
    chat.expect("›")
    chat.type(CTRL_D)
    assert chat.end() == 0
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written == [tmp_path / "config" / "history.jsonl"]
    assert "11667" not in written[0].read_text()


def test_korean_is_spoken_where_it_is_asked_for(tmp_path: Path) -> None:
    chat = Chat(tmp_path, "--lang", "ko")
    try:
        chat.expect("/help 명령 보기")
        chat.expect("›")
        chat.type("12345에서 678을 빼면 얼마인가요?\r")
        chat.expect("영어 전용이라")
        chat.expect("토큰/초")
        chat.expect("›")
        chat.type(CTRL_D)
        assert chat.end() == 0
    finally:
        chat.close()


def test_the_grammar_is_switched_in_the_chat(chat: Chat) -> None:
    chat.expect("›")
    for line, said in (
        ("/grammar", "grammar: on"),
        ("/grammar off", "grammar: off"),
        ("/grammar x", "usage:"),
    ):
        chat.type(f"{line}\r")
        chat.expect(said)
    chat.type(CTRL_D)
    assert chat.end() == 0


def test_a_hurried_answer_is_told_in_korean(tmp_path: Path) -> None:
    chat = Chat(tmp_path, "--lang", "ko")
    try:
        chat.expect("›")
        chat.type("12345-678?\r")
        chat.expect("토큰/초")
        chat.type("Think for ever.\r")
        chat.expect("for ever and ever")
        chat.type(CTRL_C)
        chat.expect("바로 답하게 합니다")
        chat.type(CTRL_C)
        chat.expect("멈췄습니다")
        chat.type(CTRL_D)
        assert chat.end() == 0
    finally:
        chat.close()
