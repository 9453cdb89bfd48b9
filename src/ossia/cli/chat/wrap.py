"""Break streamed text at words: a terminal alone would cut them in half."""

from rich.cells import cell_len
from rich.text import Text

_FENCE = "```"


class Wrapper:
    """Takes text piece by piece and returns it with line breaks where a word would not fit.

    Holds back a word until it is complete. Chinese and Japanese, which have no spaces, may break after any
    character. Lines inside code fences, and words longer than a line (addresses), stay whole. Styles go
    with their characters.
    """

    def __init__(self, width: int) -> None:
        self._width = max(width, 20)
        self._column = 0
        self._word = Text()
        self._space = Text()  # blanks before the word, dropped where the line breaks
        self._line = ""  # the line so far, as it came: to notice a fence
        self._fenced = False
        self._passing = False  # inside a word that is longer than a line

    @property
    def at_line_start(self) -> bool:
        """Whether nothing stands on the current line yet."""
        return self._column == 0 and not self._line

    def feed(self, text: str, style: str = "") -> Text:
        """Return what can be printed now."""
        out = Text()
        for char in text:
            self._char(char, style, out)
        return out

    def flush(self) -> Text:
        """Return the word that was held back."""
        out = Text()
        self._end_word(out)
        return out

    def _char(self, char: str, style: str, out: Text) -> None:
        if char == "\n":
            self._end_line(out)
            return
        self._line += char
        if char in " \t":
            self._end_word(out)
            self._space.append(char, style)
            self._passing = False
        elif self._passing:
            self._advance(cell_len(char))
            out.append(char, style)
        elif _breaks_anywhere(char):
            self._end_word(out)
            self._word.append(char, style)
            self._end_word(out)
        else:
            self._word.append(char, style)
            if self._fenced or self._word.cell_len >= self._width:
                self._passing = True
                self._end_word(out)

    def _end_line(self, out: Text) -> None:
        self._end_word(out)
        if self._fenced:
            out.append_text(self._space)
        out.append("\n")
        if self._line.lstrip().startswith(_FENCE):
            self._fenced = not self._fenced
        self._column, self._space, self._line, self._passing = 0, Text(), "", False

    def _end_word(self, out: Text) -> None:
        word, space = self._word, self._space
        if not word:
            return
        self._word, self._space = Text(), Text()
        gap = len(space.plain.expandtabs(8))
        if not self._fenced and self._column and self._column + gap + word.cell_len > self._width:
            self._column = 0
            out.append("\n")
        else:
            out.append_text(space)
            self._advance(gap)
        out.append_text(word)
        self._advance(word.cell_len)

    def _advance(self, cells: int) -> None:
        # A full line is not an empty one: the terminal goes on below only with the next character.
        end = self._column + cells
        self._column = (end - 1) % self._width + 1 if end else 0


def _breaks_anywhere(char: str) -> bool:
    return cell_len(char) == 2 and not "가" <= char <= "힣" and char.isalpha()
