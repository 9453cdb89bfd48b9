"""The guess whether an English-only model can be asked."""

import pytest

from ossia.cli.answer.language import mostly_english, mostly_korean

FOREIGN = {
    "es": "¿Cuál es la capital de Francia?",
    "fr": "Quelle est la capitale de la France ?",
    "de": "Was ist die Hauptstadt von Frankreich?",
    "pt": "Qual é a capital da França?",
    "it": "Qual è la capitale della Francia?",
    "nl": "Wat is de hoofdstad van Frankrijk?",
    "sv": "Vad är huvudstaden i Frankrike?",
    "da": "Hvad er hovedstaden i Frankrig?",
    "pl": "Jaka jest stolica Francji i co warto w niej zobaczyć?",
    "tr": "Fransa'nın başkenti neresidir?",
    "id": "Apa ibu kota negara Prancis dan berapa penduduknya?",
    "vi": "Thủ đô của Pháp là gì?",
    "fi": "Mikä on Ranskan pääkaupunki ja kuinka suuri se on?",
    "hu": "Mi Franciaország fővárosa és hogy hívják?",
    "ro": "Care este capitala Franței?",
    "cs": "Jaké je hlavní město Francie?",
    "ko": "프랑스의 수도는 어디인가요?",
    "ja": "フランスの首都はどこですか?",
    "zh": "法国的首都是哪里?",
    "ru": "Какая столица Франции?",
    "el": "Ποια είναι η πρωτεύουσα της Γαλλίας;",
    "ar": "ما هي عاصمة فرنسا؟",
    "he": "מהי בירת צרפת?",
    "hi": "फ्रांस की राजधानी क्या है?",
    "th": "เมืองหลวงของฝรั่งเศสคืออะไร",
    "greeting": "Hola",
    "mixed": "Explain 상대성 이론을 쉽게 설명해 주세요",
}
ENGLISH = [
    "",
    "hi",
    "12345 * 678",
    "🙂🙂",
    "What is 12345 minus 678?",
    "Translate 'bonjour' to English",
    "What does 안녕 mean in English, please?",
    "def f(x): return x**2",
    "for i in range(10): print(i)",
    "List 3 prime numbers",
    "résumé tips",
    "café naïve",
    "Explain E = mc² and α decay",
    "Describe El Niño and La Niña in one line",
    "Who was Simón Bolívar?",
    "São Paulo population",
    "Explain this:\n```python\nprint('이것은 한국어 문자열입니다')\n```",
]


@pytest.mark.parametrize("language", FOREIGN)
def test_other_languages_are_noticed(language: str) -> None:
    assert not mostly_english(FOREIGN[language])


@pytest.mark.parametrize("text", ENGLISH)
def test_english_names_code_and_numbers_pass(text: str) -> None:
    assert mostly_english(text)


def test_korean_is_known_by_its_letters() -> None:
    assert mostly_korean("프랑스의 수도는 Paris인가요?")
    assert not mostly_korean("フランスの首都は?")
    assert not mostly_korean("What does 안녕 mean?")
    assert not mostly_korean("123")
