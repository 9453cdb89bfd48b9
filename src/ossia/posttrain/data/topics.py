"""Everyday questions and text openings, put together from small word lists: what the base is asked to say.

Only prompts are made here; the answers are the base's own (`distill`), so that the adapter learns Harmony
without unlearning what the base could do.
"""

from collections.abc import Callable
from random import Random

THINGS = """
photosynthesis gravity the water cycle a rainbow an earthquake a volcano the moon the ocean tides recycling
compound interest inflation a budget a mortgage insurance democracy a constitution the printing press the
steam engine a computer the internet a database an algorithm a battery a transistor a vaccine the immune
system the human heart sleep a balanced diet vitamins stretching yoga meditation stress teamwork leadership
feedback a good habit procrastination friendship kindness curiosity honesty patience music theory a symphony
a novel a sonnet a metaphor grammar a paragraph photography perspective in drawing a garden compost pruning
bees butterflies whales elephants penguins owls dinosaurs fossils glaciers deserts rainforests rivers
mountains clouds wind solar power nuclear energy a bicycle a sailing boat an airplane a train station a
bridge a lighthouse a museum a library a farm bread cheese coffee tea chocolate soup salad pasta rice a
healthy breakfast chess football basketball swimming tennis hiking camping a road trip a passport a map time
zones leap years calendars money trade a market a startup marketing customer service a job interview a
resume a cover letter a meeting an email a presentation public speaking a speech a diary a thank-you note a
birthday party a wedding a puppy a kitten a goldfish a horse a neighbour a school a teacher homework an exam
a university a scholarship the solar system Mars Jupiter a comet a telescope a black hole atoms molecules
electricity magnetism sound light heat friction a lever a pulley steel glass paper wood plastic cotton wool
the Roman Empire ancient Egypt the Renaissance the Industrial Revolution the Silk Road the Olympic Games
Python programming a for loop a function a variable a list a web page a password backups email spam open
source software version control testing code debugging"""

_STARTS = ("a ", "an ", "the ", "ancient ")
TASKS = """
learn a new language|save money every month|sleep better|cook rice|write a short email|make new friends
|prepare for a job interview|start a small garden|read more books|keep a plant alive|train a puppy|clean a
kitchen quickly |plan a birthday party|stay focused while studying|drink more water|pack for a weekend
trip|choose a good password |take better photos|start running|learn to draw|give a short speech|write a
diary|reduce stress at work|make good coffee |bake bread at home|organise a desk|teach a child to read|fix a
flat bicycle tyre|remember names|be on time |write clean code|debug a program|name variables well|thank a
colleague|say no politely|apologise to a friend |find a hobby|eat healthier|use less plastic|prepare for an
exam"""

NAMES = [
    "Ana", "Ben", "Clara", "David", "Emma", "Farid", "Grace", "Hugo", "Ines", "James", "Kofi", "Lena",
    "Marco", "Nadia", "Oscar", "Priya", "Quinn", "Rosa", "Sam", "Tara",
]  # fmt: skip
PLACES = [
    "village", "forest", "harbour", "city", "mountain", "castle", "market", "island", "school", "station",
    "farm", "garden", "desert", "library",
]  # fmt: skip

_ASK: tuple[str, ...] = (
    "What is {thing}?",
    "Explain {thing} in simple words.",
    "Tell me something interesting about {thing}.",
    "Why is {thing} important?",
    "Describe {thing} in one sentence.",
    "Can you explain {thing} to a child?",
    "Give me three facts about {thing}.",
    "In two sentences, what should I know about {thing}?",
    "What are the advantages of {thing}?",
    "I keep hearing about {thing}. What does it mean?",
    "Write a short poem about {thing}.",
    "What is a common mistake people make about {thing}?",
    "What's the difference between {thing} and {other}?",
    "Write one sentence that uses the word {thing}.",
    "Summarise why people care about {thing}.",
)
_DO: tuple[str, ...] = (
    "How do I {task}?",
    "Give me three tips to {task}.",
    "What is the best way to {task}?",
    "I want to {task}. Where should I start?",
    "Help me {task}, please.",
    "My friend {name} wants to {task}. What would you say?",
    "List a few steps to {task}.",
    "Write a short note that encourages {name} to {task}.",
)
_WRITE: tuple[str, ...] = (
    "Write a very short story about {name} in a {place}.",
    "Write a two-line poem about a {place}.",
    "Write a short email to {name} to move our meeting to tomorrow.",
    "Write a thank-you note to {name} for the help with {thing}.",
    "Suggest a title for a story about {name} and a {place}.",
    "Describe a quiet morning in a {place}.",
    "Write a short dialogue between {name} and a stranger in a {place}.",
    "Invent a name for a cafe in a {place} and explain it briefly.",
)
_CHAT: tuple[str, ...] = (
    "Hello! I'm {name}.",
    "Good morning! How are you?",
    "I'm feeling a bit tired today.",
    "I had a great day at the {place} today.",
    "I'm bored. What could I do?",
    "Can you cheer me up?",
    "Tell me a joke about {thing}.",
    "Recommend something to read about {thing}.",
    "I'm nervous about tomorrow. Any advice?",
    "What should I eat for dinner?",
)
_LENGTH = (
    "",
    "",
    "",
    " Keep it short.",
    " Answer in one or two sentences.",
    " Be brief.",
    " Please be concise.",
)

_OPENINGS: tuple[str, ...] = (
    "{Thing} is",
    "The history of {thing}",
    "When {name} walked into the {place},",
    "Many people believe that {thing}",
    "In this article, we will look at {thing} and",
    "{name} had lived near the {place} for years, but",
    "One of the most common questions about {thing} is",
    "Last summer, the people of the {place}",
    "To {task}, you first need to",
    "Scientists have studied {thing} for a long time.",
    '"I never thought I would see {thing} again," said {name}.',
    "Here is how to {task}:",
    "The old {place} was quiet when",
    "Dear {name},\n\n",
    "It was raining on the day that {name}",
    "Chapter 1\n\nThe {place}",
    "",
)


def things() -> list[str]:
    """The nouns of `THINGS`, articles kept with what follows them."""
    words = " ".join(THINGS.split())
    phrases = _PHRASES & {phrase for phrase in _PHRASES if phrase in words}
    for phrase in sorted(phrases, key=len, reverse=True):
        words = words.replace(phrase, phrase.replace(" ", "_"))
    found: list[str] = []
    parts = words.split(" ")
    while parts:
        word = parts.pop(0)
        found.append(f"{word} {parts.pop(0)}" if f"{word} " in _STARTS and parts else word)
    return [word.replace("_", " ") for word in found]


_PHRASES = {
    "water cycle",
    "ocean tides",
    "compound interest",
    "printing press",
    "steam engine",
    "immune system",
    "human heart",
    "balanced diet",
    "good habit",
    "music theory",
    "perspective in drawing",
    "solar power",
    "nuclear energy",
    "sailing boat",
    "train station",
    "healthy breakfast",
    "road trip",
    "time zones",
    "leap years",
    "customer service",
    "job interview",
    "cover letter",
    "public speaking",
    "thank-you note",
    "birthday party",
    "solar system",
    "black hole",
    "Roman Empire",
    "ancient Egypt",
    "Industrial Revolution",
    "Silk Road",
    "Olympic Games",
    "Python programming",
    "for loop",
    "web page",
    "email spam",
    "open source software",
    "version control",
    "testing code",
}

_THINGS = things()
_TASKS = [" ".join(task.split()) for task in TASKS.split("|")]


def _filled(template: str, rng: Random) -> str:
    thing = rng.choice(_THINGS)
    return template.format(
        thing=thing,
        Thing=thing[:1].upper() + thing[1:],
        other=rng.choice(_THINGS),
        task=rng.choice(_TASKS),
        name=rng.choice(NAMES),
        place=rng.choice(PLACES),
    )


def question(rng: Random) -> str:
    """One everyday question or request, answerable without tools."""
    family, length = rng.choices(((_ASK, 1), (_DO, 1), (_WRITE, 0), (_CHAT, 0)), weights=(6, 3, 2, 1))[0]
    return _filled(rng.choice(family), rng) + (rng.choice(_LENGTH) if length else "")


def opening(rng: Random) -> str:
    """The first words of a plain English text ("" now and then: the text begins by itself)."""
    return _filled(rng.choice(_OPENINGS), rng)


def distinct(make: Callable[[Random], str], count: int, rng: Random) -> list[str]:
    """`count` different strings from `make`; raises AssertionError when it cannot make that many."""
    seen: dict[str, None] = {}
    for _ in range(count * 50):
        if len(seen) == count:
            break
        seen[make(rng)] = None
    assert len(seen) == count, f"{make.__name__} makes only {len(seen)} different strings"
    return list(seen)
