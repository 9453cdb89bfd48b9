"""Which language a message is mostly in, as far as an English-only model must care.

A cheap guess from scripts and stop words, made for one purpose: to say once that the model at hand
cannot answer. It does not identify languages, and when in doubt it answers "English".
"""

import unicodedata
from functools import cache


def _words_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ENGLISH = _words_of(
    """a about all also an and any are as at be because been but by can could did do does for from get had has
    have he her him his how i if in into is it its just like make me more my no not of on one or our out
    please she should so some tell than that the their them then there these they this to up us was we
    were what when where which who why will with would write you your"""
)
# Frequent words of other languages in the Latin script; words that are also English ones are left out.
_OTHER = (
    _words_of(
        """que de la el los las una por para con como está qué cómo cuál dónde es son más muy pero porque
    le les des du est sont une dans pour avec sur pas vous nous je mon quelle quel comment pourquoi où
    der die das und ist nicht ein eine einen ich wir sie mit von zu auf wie warum wer wo kannst bitte
    il lo gli che di è sono perché come cosa dove quando della nel mio non per questo quanto
    os um uma não você são isso eu meu qual onde porquê em ao mais
    het een van en niet wat hoe waarom ik jij zijn voor met deze kun
    jag är och att det som på av för med inte hur vad varför kan vi
    og jeg ikke hvad hvor hvorfor er til
    nie jest się jak co czy dlaczego gdzie w na z proszę mi
    ve bir bu ne nasıl neden için mu ben sen değil çok nedir
    yang dan itu ini apa bagaimana mengapa saya kamu tidak untuk dengan adalah
    là của và có không gì như thế nào tôi bạn cho được một các
    ja ei on mitä miten miksi minä sinä että
    az és hogy nem miért egy vagy ce este și nu care pentru mai jsem je proč kde prosím
    bonjour salut merci suis hola gracias hallo guten danke ciao grazie olá obrigado hej tack"""
    )
    - _ENGLISH
)


_LOANS = _words_of(
    "café cafés cliché clichés fiancé fiancée façade jalapeño naïve piñata résumé résumés señor"
)


def mostly_english(text: str) -> bool:
    """Say whether `text` is one an English-only model can be asked; True when there is little to judge by.

    More than 30% of the letters in another script, or more stop words of other Latin-script languages
    than of English, means no. Code fences are not judged.
    """
    letters = [c for c in _outside_fences(text) if c.isalpha()]
    if not letters:
        return True
    foreign = sum(1 for c in letters if not _is_latin(c))
    if foreign >= 2 and foreign > 0.3 * len(letters):
        return False
    words = _words(_outside_fences(text))
    english = sum(word.casefold() in _ENGLISH for word in words)
    # A capital inside a sentence is most often a name (El Niño), which says nothing about the language.
    plain = [word.casefold() for n, word in enumerate(words) if n == 0 or not word[0].isupper()]
    other = sum(word in _OTHER or not (word.isascii() or word in _LOANS) for word in plain)
    return other <= english or (other < 2 and 2 * other < len(words))


def mostly_korean(text: str) -> bool:
    """Say whether Hangul makes up at least 30% of the letters."""
    letters = [c for c in text if c.isalpha()]
    hangul = sum("가" <= c <= "힣" or "ㄱ" <= c <= "ㅣ" or "ᄀ" <= c <= "ᇿ" for c in letters)
    return hangul > 0 and hangul >= 0.3 * len(letters)


def _outside_fences(text: str) -> str:
    return "\n".join(text.split("```")[::2])


def _words(text: str) -> list[str]:
    kept = "".join(c if c.isalpha() or unicodedata.combining(c) else " " for c in text)
    return kept.split()


@cache
def _is_latin(char: str) -> bool:
    # Letter-like signs (ª, µ, ﬁ) and mathematical alphabets are no other script.
    name = unicodedata.name(char, "")
    return "LATIN" in name or name.startswith(("MATHEMATICAL", "MODIFIER", "MICRO", "DOUBLE-STRUCK"))
