"""Break streamed text at words: a terminal alone would cut them in half."""

from rich.cells import cell_len

_FENCE = "```"


class Wrapper:
    """Takes text piece by piece and returns it with line breaks where a word would not fit.

    Holds back a word until it is complete. Chinese and Japanese, which have no spaces, may break after any
    character. Lines inside code fences, and words longer than a line (addresses), stay whole.
    """

    def __init__(self, width: int) -> None:
        self._width = max(width, 20)
        self._column = 0
        self._word = ""
        self._space = ""  # blanks before the word, dropped where the line breaks
        self._line = ""  # the line so far, as it came: to notice a fence
        self._fenced = False
        self._passing = False  # inside a word that is longer than a line

    @property
    def at_line_start(self) -> bool:
        """Whether nothing stands on the current line yet."""
        return self._column == 0 and not self._line

    def feed(self, text: str) -> str:
        """Return what can be printed now."""
        return "".join(self._char(char) for char in text)

    def flush(self) -> str:
        """Return the word that was held back."""
        return self._end_word()

    def _char(self, char: str) -> str:
        if char == "\n":
            return self._end_line()
        self._line += char
        if char in " \t":
            out = self._end_word()
            self._space += char
            self._passing = False
            return out
        if self._passing:
            self._advance(cell_len(char))
            return char
        if _breaks_anywhere(char):
            before = self._end_word()
            self._word = char
            return before + self._end_word()
        self._word += char
        if cell_len(self._word) < self._width and not self._fenced:
            return ""
        self._passing = True
        return self._end_word()

    def _end_line(self) -> str:
        out = self._end_word() + (self._space if self._fenced else "") + "\n"
        if self._line.lstrip().startswith(_FENCE):
            self._fenced = not self._fenced
        self._column, self._space, self._line, self._passing = 0, "", "", False
        return out

    def _end_word(self) -> str:
        word, space = self._word, self._space
        if not word:
            return ""
        self._word = self._space = ""
        size, gap = cell_len(word), len(space.expandtabs(8))
        if not self._fenced and self._column and self._column + gap + size > self._width:
            self._column = 0
            self._advance(size)
            return "\n" + word
        self._advance(gap + size)
        return space + word

    def _advance(self, cells: int) -> None:
        # A full line is not an empty one: the terminal goes on below only with the next character.
        end = self._column + cells
        self._column = (end - 1) % self._width + 1 if end else 0


def _breaks_anywhere(char: str) -> bool:
    return cell_len(char) == 2 and not "가" <= char <= "힣" and char.isalpha()
