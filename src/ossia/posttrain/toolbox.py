"""Invents tools: names, descriptions, schemas, and requests a person might type that need them.

A tool is an action on a thing (`restart_server`, `PlaylistCreator`, …) with zero to four arguments drawn from `FIELDS`;
a request puts the argument values into everyday phrases. Nothing here is a real service. Part of the
actions and fields is held out of training, to measure on tools of a kind never seen (`held_out`).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ossia.harmony.messages import ToolSpec

_SYLLABLES = "ba be bo da del dor el fa fen ga gor ha hel in ja jo ka kel lan lo ma mar mi na nor o pa per qui ra ri ron sa sel \
ta tor u va ver wi wol xan ya yor za zen".split()  # fmt: skip
_FIRST = "Anna Boris Carla Dmitri Elena Felix Greta Henrik Isla Joon Karim Lucia Milan Nora Olaf Petra Rafael Sofia Tomas Uma Viktor \
Wanda Yara Zoe Alice Bob Maria Peter Lin Mei Sanjay Fatima Kwame Astrid".split()  # fmt: skip
_CITIES = "Paris Berlin Tokyo Seoul London Vienna Prague Cairo Lima Boston Chicago Toronto Sydney Dublin Athens Warsaw Helsinki Nairobi \
Mumbai Jakarta Manila Havana Bogota Denver Seattle Austin Geneva Lyon Porto Seville Krakow Utrecht Busan Kyoto Osaka Leeds \
New_York San_Francisco Buenos_Aires Cape_Town Hong_Kong Los_Angeles Mexico_City".split()  # fmt: skip
_COMMON = "milk apples coffee paint soap paper flour lamps chairs batteries gloves candles tickets books shoes pencils honey tiles \
rope nails plates bolts cables seeds tents boots blankets jackets mirrors buckets".split()  # fmt: skip
_TITLES = "Blue Harbour|Night Train|The Long Road|Winter Garden|Paper Moon|Second Spring|Silver Lining|Open Doors|Quiet River|The Last \
Letter|Red Balloon|Morning Light|Stone Bridge|Falling Leaves|Ocean Drive|Budget Review|Team Lunch|Project Plan|Weekly Report|\
Summer Party|Site Visit|Release Notes|Trip Photos|Reading List|New Ideas".split("|")  # fmt: skip
_WORDS = "planet copper velvet signal pepper lantern ribbon saddle thunder walnut anchor bishop cactus dolphin ember falcon garnet \
hollow island jungle kettle lizard magnet nectar orchid pebble quartz raven salmon tulip umbrella violin willow yellow zebra".split()  # fmt: skip
_FOLDERS = "src docs data logs tests config images notes reports backup".split()
_FILES = "main.py notes.txt report.pdf index.html data.csv config.yaml readme.md photo.jpg budget.xlsx server.log app.js".split()
_WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_LANGUAGES = (
    "French German Spanish Italian Korean Japanese Portuguese Dutch Polish Swedish Turkish Arabic".split()
)

Value = Any


def invented_name(rng: Random) -> str:
    """A word that no one has seen, so that copying must be learnt."""
    return "".join(rng.choice(_SYLLABLES) for _ in range(rng.randint(2, 3))).capitalize()


def person(rng: Random) -> str:
    return rng.choice(_FIRST) if rng.random() < 0.6 else invented_name(rng)


def city(rng: Random) -> str:
    return rng.choice(_CITIES).replace("_", " ") if rng.random() < 0.75 else invented_name(rng)


def _code(rng: Random) -> str:
    letters = "".join(rng.choice("ABCDEFGHKLMNPRSTUVWXYZ") for _ in range(rng.randint(1, 3)))
    digits = "".join(rng.choice("0123456789") for _ in range(rng.randint(2, 5)))
    style = rng.choice(("{a}-{n}", "{a}{n}", "{n}-{a}", "{a}_{n}", "#{n}", "{n}", "{a}-{n}-{b}"))
    return (
        style.format(a=letters, n=digits, b=rng.choice("ABCXYZ")).lower()
        if rng.random() < 0.15
        else style.format(a=letters, n=digits, b=rng.choice("ABCXYZ"))
    )


def _path(rng: Random) -> str:
    return "/".join([*rng.sample(_FOLDERS, rng.randint(0, 2)), rng.choice(_FILES)])


def _date(rng: Random) -> str:
    return f"{rng.randint(2023, 2031)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"


def _clock(rng: Random) -> str:
    return f"{rng.randint(0, 23):02d}:{rng.choice((0, 5, 10, 15, 20, 30, 40, 45, 50)):02d}"


def _email(rng: Random) -> str:
    return f"{person(rng).lower()}@{rng.choice(('example.com', 'example.org', 'mail.example'))}"


def _some(make: Callable[[Random], str]) -> Callable[[Random], list[str]]:
    def several(rng: Random) -> list[str]:
        return list(dict.fromkeys(make(rng) for _ in range(rng.choice((1, 2, 2, 3, 3)))))

    return several


def _money(rng: Random) -> float | int:
    return rng.choice(
        (
            rng.randint(1, 900),
            round(rng.uniform(1, 500), 2),
            rng.randint(1, 90) * 10,
            rng.randint(1, 99) + 0.5,
        )
    )


def _one(words: list[str]) -> Callable[[Random], str]:
    return lambda rng: rng.choice(words)


@dataclass(frozen=True, slots=True)
class Field:
    """A kind of argument: its names, schema, values, and the phrases that carry a value in a request.

    In a phrase `{}` is the value; for a boolean, `phrases` say true and `negative` say false.
    """

    names: tuple[str, ...]
    schema: dict[str, Any]
    make: Callable[[Random], Value]
    phrases: tuple[str, ...]
    descriptions: tuple[str, ...] = ("",)
    negative: tuple[str, ...] = ()
    held_out: bool = False


_S, _I, _N = {"type": "string"}, {"type": "integer"}, {"type": "number"}


def _choice_field(
    names: tuple[str, ...],
    values: list[str],
    phrases: tuple[str, ...],
    description: str = "",
    held_out: bool = False,
) -> Field:
    return Field(
        names, {"type": "string", "enum": values}, _one(values), phrases, ("", description), held_out=held_out
    )


def _flag(
    name: str, yes: tuple[str, ...], no: tuple[str, ...], description: str, held_out: bool = False
) -> Field:
    return Field(
        (name,), {"type": "boolean"}, lambda rng: rng.random() < 0.6, yes, ("", description), no, held_out
    )


FIELDS: dict[str, Field] = {
    "city": Field(("city", "location", "town", "place"), _S, city, ("in {}", "for {}", "near {}", "at {}"), ("", "Name of the city", "The city, e.g. Madrid")),
    "destination": Field(("destination", "to", "target_city", "arrival"), _S, city, ("to {}", "going to {}", "with {} as the destination"), ("", "Where to go")),
    "origin": Field(("origin", "from_city", "start", "departure"), _S, city, ("from {}", "starting in {}"), ("", "Where it starts")),
    "person": Field(("person", "name", "recipient", "contact", "user", "guest"), _S, person, ("for {}", "to {}", "with {}", "on behalf of {}"), ("", "Who it is for", "A person's name")),
    "people": Field(("people", "guests", "attendees", "names", "members"), {"type": "array", "items": {"type": "string"}}, _some(person), ("with {}", "for {}", "and invite {}"), ("", "Names of the people")),
    "items": Field(("items", "products", "goods", "things"), {"type": "array", "items": {"type": "string"}}, _some(_one(_COMMON)), ("with {}", "containing {}", "that has {}"), ("", "What it contains")),
    "tags": Field(("tags", "labels", "keywords"), {"type": "array", "items": {"type": "string"}}, _some(_one(_WORDS)), ("tagged {}", "with the tags {}", "labelled {}"), ("", "Words to find it by")),
    "title": Field(("title", "name", "subject", "heading"), _S, _one(_TITLES), ('called "{}"', "called {}", "titled {}", "with the title {}", 'named "{}"'), ("", "The title")),
    "word": Field(("word", "term", "query", "keyword", "search"), _S, _one(_WORDS), ("about {}", "for {}", "matching {}", "with the word {}"), ("", "What to look for")),
    "code": Field(("id", "code", "number", "reference", "order_id", "key"), _S, _code, ("number {}", "with the id {}", "{}", "with reference {}", "(code {})"), ("", "The identifier", "Reference code")),
    "path": Field(("path", "file", "filename", "file_path"), _S, _path, ("in {}", "from {}", "using the file {}", "at {}"), ("", "Path of the file")),
    "date": Field(("date", "day", "on", "when"), _S, _date, ("on {}", "for {}", "dated {}"), ("", "The date, YYYY-MM-DD", "ISO date")),
    "time": Field(("time", "at", "start_time"), _S, _clock, ("at {}", "starting at {}"), ("", "HH:MM")),
    "email": Field(("email", "address", "to", "mail"), _S, _email, ("to {}", "for {}", "at {}"), ("", "An email address")),
    "count": Field(("count", "quantity", "number", "copies", "n"), _I, lambda rng: rng.randint(2, 60), ("{} times", "with a count of {}", "for {} of them", "with {} copies"), ("", "How many")),
    "limit": Field(("limit", "max_results", "top", "max"), _I, lambda rng: rng.randint(1, 50), ("with at most {} results", "but only the first {}", "and show {} results", "limited to {}"), ("", "How many at most")),
    "minutes": Field(("minutes", "duration", "duration_minutes", "length"), _I, lambda rng: rng.randint(2, 180), ("for {} minutes", "lasting {} minutes", "of {} minutes"), ("", "Duration in minutes")),
    "seconds": Field(("seconds", "timeout", "delay", "wait"), _I, lambda rng: rng.randint(1, 600), ("for {} seconds", "after {} seconds", "with a delay of {} seconds"), ("", "In seconds")),
    "days": Field(("days", "period", "number_of_days"), _I, lambda rng: rng.randint(2, 30), ("for {} days", "over {} days", "for the next {} days"), ("", "Number of days")),
    "percent": Field(("percent", "level", "value", "percentage"), _I, lambda rng: rng.randint(1, 100), ("to {} percent", "at {}%", "to {}%", "at level {}"), ("", "0 to 100", "Per cent")),
    "degrees": Field(("degrees", "temperature", "celsius"), _N, lambda rng: rng.choice((rng.randint(5, 95), rng.randint(10, 30) + 0.5)), ("to {} degrees", "at {} degrees", "at {} °C"), ("", "Degrees Celsius")),
    "amount": Field(("amount", "price", "sum", "total", "value"), _N, _money, ("for {} euros", "of {} dollars", "with an amount of {}", "worth {}"), ("", "Amount of money")),
    "weight": Field(("weight", "kilograms", "weight_kg", "kg"), _N, lambda rng: rng.choice((rng.randint(1, 80), round(rng.uniform(0.5, 40), 1))), ("weighing {} kg", "of {} kilograms", "with {} kg"), ("", "Weight in kilograms")),
    "line": Field(("line", "line_number", "row"), _I, lambda rng: rng.randint(1, 900), ("at line {}", "on row {}", "from line {}"), ("", "Line number")),
    "hour": Field(("hour", "h"), _I, lambda rng: rng.randint(1, 23), ("at {} o'clock", "at hour {}"), ("", "Hour of the day, 0 to 23")),
    "year": Field(("year", "from_year", "season"), _I, lambda rng: rng.randint(1900, 2030), ("from {}", "in the year {}", "for {}"), ("", "Four digits")),
    "priority": _choice_field(("priority", "importance", "urgency"), ["low", "normal", "high"], ("with {} priority", "at {} priority", "and give it {} priority"), "How urgent it is"),
    "colour": _choice_field(("colour", "color", "shade"), ["red", "green", "blue", "white", "black"], ("in {}", "coloured {}", "with the colour {}"), "The colour"),
    "size": _choice_field(("size", "dimension"), ["small", "medium", "large"], ("in size {}", "in {}", "of {} size"), "The size"),
    "format": _choice_field(("format", "type", "output"), ["pdf", "csv", "json", "html"], ("as {}", "in {} format", "as a {} file"), "The format of the output"),
    "unit": _choice_field(("unit", "units"), ["celsius", "fahrenheit"], ("in {}", "using {}"), "The unit"),
    "speed": _choice_field(("speed", "mode", "pace"), ["slow", "normal", "fast"], ("at {} speed", "in {} mode"), "How fast"),
    "language": Field(("language", "lang", "target_language"), _S, _one(_LANGUAGES), ("in {}", "into {}"), ("", "The language")),
    "weekday": Field(("weekday", "day"), _S, _one(_WEEKDAYS), ("on {}", "for {}", "every {}"), ("", "Day of the week")),
    "urgent": _flag("urgent", ("urgently", "and mark it as urgent", "as urgent"), ("but it is not urgent", "and mark it as not urgent"), "Whether it is urgent"),
    "notify": _flag("notify", ("and notify everyone", "and send a notification"), ("without a notification", "but do not notify anyone"), "Send a notification"),
    "private": _flag("private", ("privately", "and keep it private"), ("and make it public", "publicly"), "Keep it private"),
    "repeat": _flag("repeat", ("and repeat it", "on repeat"), ("without repeating", "just once"), "Do it again and again"),
    "recursive": _flag("recursive", ("including subfolders", "recursively"), ("without subfolders", "not recursively"), "Look into subfolders"),
    # Held out: kinds of argument that training never shows.
    "floor": Field(("floor", "storey"), _I, lambda rng: rng.randint(1, 40), ("on floor {}", "for floor {}"), ("", "Which floor"), held_out=True),
    "distance": Field(("distance", "kilometres", "km"), _N, lambda rng: rng.randint(1, 300), ("within {} km", "over {} kilometres"), ("", "Distance in kilometres"), held_out=True),
    "season": _choice_field(("season",), ["spring", "summer", "autumn", "winter"], ("for {}", "in {}"), "Season of the year", held_out=True),
    "gift": _flag("gift_wrap", ("and wrap it as a gift", "gift-wrapped"), ("without gift wrapping",), "Wrap it as a gift", held_out=True),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Action:
    """Something a tool does: imperative phrases, name parts, and the fields that make sense with it."""

    phrases: tuple[str, ...]
    verbs: tuple[str, ...]
    nouns: tuple[str, ...]
    about: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    results: tuple[str, ...] = ("ok", "count", "text")
    held_out: bool = False


def _action(
    phrases: str,
    verbs: str,
    nouns: str,
    about: str,
    required: str,
    optional: str = "",
    results: str = "ok",
    held_out: bool = False,
) -> Action:
    return Action(
        tuple(phrases.split("|")), tuple(verbs.split()), tuple(nouns.split()), about,
        tuple(required.split()), tuple(optional.split()), tuple(results.split()), held_out,
    )  # fmt: skip


ACTIONS: tuple[Action, ...] = (
    _action("what is the weather|how is the weather|check the weather|what's the weather like|weather|is it raining|how warm is it", "get fetch check read", "weather forecast weather_report", "Get the weather", "city", "unit days date", "weather"),
    _action("find flights|search for a flight|look up flights|book a flight|I need a flight", "find search book list", "flights flight_tickets", "Search for flights", "destination", "origin date", "found"),
    _action("find a hotel|book a hotel room|search hotels|I need a hotel", "find book search reserve", "hotel hotels room", "Find a hotel", "city", "days date amount", "found"),
    _action("book a table|reserve a table|get me a table", "book reserve request", "table restaurant_table", "Reserve a restaurant table", "city", "people time date count", "ok"),
    _action("send an email|write an email|email something", "send write compose", "email mail message", "Send an email", "email", "title urgent", "ok"),
    _action("send a message|text a message|write a message", "send post deliver", "message text sms", "Send a message to someone", "person", "title urgent", "ok"),
    _action("create a calendar event|add an event|schedule a meeting|plan a meeting|put a meeting in my calendar", "create add schedule", "event meeting appointment", "Add a calendar event", "title", "date time people minutes", "ok"),
    _action("cancel the order|cancel order", "cancel revoke stop", "order purchase booking", "Cancel an order", "code", "notify", "ok"),
    _action("what is the status of the order|check the order|how is my order|track the order", "get check track", "order order_status shipment_order", "Status of an order", "code", "", "status"),
    _action("set a timer|start a timer|count down", "set start create", "timer countdown", "Start a timer", "minutes", "title repeat", "ok"),
    _action("remind me|set a reminder|add a reminder|create a reminder", "add create set", "reminder task_reminder", "Create a reminder", "title", "date time priority", "ok"),
    _action("set the heating|turn the heating|set the thermostat", "set change adjust", "heating thermostat room_temperature", "Set the heating", "degrees", "time", "ok"),
    _action("set the volume|turn the volume|change the volume", "set change adjust", "volume sound_level speaker", "Set the volume", "percent", "", "ok"),
    _action("play a song|play some music|play the track|put on the song", "play start queue", "song music track", "Play a piece of music", "title", "repeat percent", "ok"),
    _action("create a playlist|make a playlist|start a playlist", "create make new", "playlist mix", "Create a playlist", "title", "tags private", "ok"),
    _action("translate the text|translate the file|give me a translation", "translate convert render", "text document file", "Translate a file", "path language", "format", "ok"),
    _action("search the web|look online|do a web search|google something", "search find query", "web internet pages", "Search the web", "word", "limit language", "found"),
    _action("search the documents|find documents|look in the archive|find notes", "search find lookup", "documents notes archive", "Search documents", "word", "limit year tags", "found"),
    _action("open the file|read the file|show me the file|display the file", "open read show", "file text_file", "Read a file", "path", "line limit", "text"),
    _action("delete the file|remove the file|erase the file", "delete remove erase", "file document", "Delete a file", "path", "notify", "ok"),
    _action("list the files|show all files|what files are there", "list show enumerate", "files folder directory", "List files", "path", "recursive limit", "found"),
    _action("convert the file|export the file|save the file", "convert export save", "file document", "Convert a file", "path format", "", "ok"),
    _action("buy something|order things|put together an order|order a basket", "buy order purchase", "items basket groceries", "Order goods", "items", "amount urgent date", "ok"),
    _action("add to my shopping list|extend the shopping list|put on the shopping list a note", "add append put", "shopping_list list_entry", "Add to the shopping list", "items", "priority", "ok"),
    _action("transfer money|send money|make a payment|wire money", "transfer send wire", "money funds payment", "Transfer money", "amount person", "date title", "ok"),
    _action("show my account balance|what is the balance|check the account", "get check show", "balance account_balance", "Balance of an account", "code", "", "amount"),
    _action("open a ticket|create a support ticket|file a bug report|report a problem", "create open file", "ticket issue bug_report", "Open a support ticket", "title", "priority tags", "ok"),
    _action("assign the ticket|hand over the ticket|give the ticket", "assign move delegate", "ticket task issue", "Assign a ticket", "code person", "priority notify", "ok"),
    _action("restart the server|reboot the machine|restart the service", "restart reboot reset", "server service machine", "Restart a server", "code", "seconds notify", "ok"),
    _action("make a backup|back up the data|create a backup", "create make start", "backup snapshot", "Make a backup", "path", "private date", "ok"),
    _action("print the document|print the file|make a printout", "print output", "document file pages", "Print a document", "path", "count colour size", "ok"),
    _action("look up a contact|find the contact|find the phone number", "find get lookup", "contact phone_number", "Look up a contact", "person", "city", "contact"),
    _action("invite people|send invitations|send an invitation", "invite send", "people invitation guests", "Invite people", "people", "date title", "ok"),
    _action("paint the wall|set the colour of the light|change the light", "set change paint", "colour light wall", "Set a colour", "colour", "percent", "ok"),
    _action("order a T-shirt|buy a T-shirt|get me a jumper", "order buy get", "shirt clothing", "Order clothing", "size colour", "count", "ok"),
    _action("log my workout|record a workout|save my training", "log record save", "workout training exercise", "Record a workout", "minutes", "speed date", "ok"),
    _action("record my weight|log my weight|note the weight", "log record track", "weight body_weight", "Record a weight", "weight", "date", "ok"),
    _action("find a recipe|search recipes|look for a recipe", "find search suggest", "recipe recipes dish", "Find recipes", "items", "minutes limit", "found"),
    _action("what is the exchange rate|convert money|change money", "convert exchange change", "currency money", "Convert an amount", "amount", "date", "amount"),
    _action("get the news|show the headlines|what is in the news", "get show list", "news headlines articles", "Read the news", "word", "limit language date", "found"),
    _action("how much is the stock|show the share price|look up the share", "get show lookup", "share_price quote", "Price of a share", "code", "date", "amount"),
    _action("who won the match|show the results of the league|get the scores", "get show list", "scores results matches", "Sports results", "year", "city limit", "found"),
    _action("find a train|look up trains|search for a train connection", "find search list", "trains connections", "Find trains", "origin destination", "date time", "found"),
    _action("how do I get there|get directions|show the way|plan a route", "get plan find", "directions route", "Find the way", "destination", "origin speed", "text"),
    _action("what time is it|tell me the local time|show the clock", "get show tell", "time clock local_time", "Local time", "city", "", "clock"),
    _action("show the list of users|who is logged in|list the accounts", "list show get", "users sessions accounts", "List users", "", "limit", "found"),
    _action("run the tests|start the tests|execute the test suite", "run start execute", "tests test_suite checks", "Run tests", "", "path recursive seconds", "ok"),
    _action("show the system status|is the system healthy|check the system", "get show check", "status health system_status", "Status of the system", "", "", "status"),
    _action("pick a random number|roll the dice|draw a number", "pick roll draw", "number dice random", "Draw a random number", "", "limit", "count"),
    _action("count the words|how many words are there|get a word count", "count get", "words word_count", "Count words", "path", "line", "count"),
    _action("turn off the alarm system|arm the alarm system|switch the security system", "switch set arm", "security system", "Switch the security system", "code", "notify", "ok"),
    _action("renew the library card|extend my subscription|renew the membership", "renew extend", "membership subscription", "Renew a membership", "code days", "", "ok"),
    _action("rate the film|leave a review|review the book", "rate review", "film book item", "Leave a review", "title percent", "private", "ok"),
    _action("define the term|look up the meaning|explain the entry", "define explain", "term entry glossary", "Look up a glossary term", "word", "language", "text"),
    _action("generate a password|make a new password", "generate make create", "password secret", "Generate a password", "", "limit private", "text"),
    _action("show photos|find pictures|search my photos", "find show search", "photos pictures images", "Search photos", "word", "year person city", "found"),
    _action("change the speed of the fan|set the fan|switch the fan", "set change", "fan ventilator", "Set the fan", "speed", "minutes", "ok"),
    _action("book a taxi|call a cab|order a ride", "book call order", "taxi cab ride", "Order a taxi", "destination", "origin time count", "ok"),
    _action("add a note|write a note|save a note", "add write save", "note memo", "Save a note", "title", "tags private date", "ok"),
    _action("find a doctor|get a doctor's appointment|book the dentist", "find book get", "doctor appointment dentist", "Doctor's appointments", "date", "time person city", "ok"),
    # Held out of training.
    _action("call the lift|send the lift|get the elevator", "call send", "lift elevator", "Call the lift", "floor", "urgent", "ok", held_out=True),
    _action("find charging stations|look for a charger", "find list", "chargers charging_stations", "Find charging stations", "city", "distance limit", "found", held_out=True),
    _action("order flowers|send a bouquet", "order send", "flowers bouquet", "Send flowers", "person", "season gift colour", "ok", held_out=True),
    _action("check in the passenger|do the check-in", "check_in register", "passenger traveller", "Check in a passenger", "person code", "size", "ok", held_out=True),
    _action("plant something in the garden|add plants to the garden plan", "plan plant", "garden garden_bed", "Plan a garden bed", "items season", "days", "ok", held_out=True),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Invented:
    """One invented tool: its spec as the model sees it, and which field each argument is."""

    spec: ToolSpec
    action: Action
    arguments: dict[str, str] = field(default_factory=dict)  # argument name → key of FIELDS
    required: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Need:
    """A request that needs `tool`, with the arguments it should be called with."""

    tool: Invented
    request: str
    values: dict[str, Value]
    said: dict[str, str]  # argument → the words that carried it

    @property
    def arguments(self) -> str:
        return json.dumps(self.values, ensure_ascii=False)


def _styled(words: str, rng: Random) -> str:
    parts = words.split("_")
    camel = "".join(part.capitalize() for part in parts)
    weights = (14, 2, 2, 1)
    return rng.choices((words, camel[:1].lower() + camel[1:], words.replace("_", "-"), camel), weights)[0]


def _tool_name(action: Action, rng: Random) -> str:
    noun = rng.choice(action.nouns)
    shape = rng.random()
    if shape < 0.7:
        name = f"{rng.choice(action.verbs)}_{noun}"
    elif shape < 0.85:
        name = noun
    elif shape < 0.95:
        name = f"{noun}_{rng.choice(action.verbs)}"
    else:
        name = f"{invented_name(rng).lower()}_{noun}"
    return _styled(name, rng)


def _describe(action: Action, rng: Random) -> str:
    endings = (".", "", ".", " and return the result.", " for the user.")
    return "" if rng.random() < 0.06 else action.about + rng.choice(endings)


def _property(key: str, optional: bool, rng: Random) -> dict[str, Any]:
    kind = FIELDS[key]
    schema = dict(kind.schema)
    description = rng.choice(kind.descriptions)
    if description:
        schema["description"] = description + rng.choice(("", "", "."))
    if "enum" in schema and optional and rng.random() < 0.4:
        schema["default"] = schema["enum"][0]
    return schema


def invent(rng: Random, *, held_out: bool = False) -> Invented:
    """A tool nobody has seen in just this form."""
    action = rng.choice([action for action in ACTIONS if action.held_out == held_out])
    optional = [key for key in action.optional if rng.random() < 0.55]
    arguments: dict[str, str] = {}
    for key in (*action.required, *optional):
        free = [name for name in FIELDS[key].names if name not in arguments]
        arguments[rng.choices(free, [3, *[1] * (len(free) - 1)])[0] if free else f"{key}_2"] = key
    if rng.random() < 0.15:
        arguments = dict(rng.sample(sorted(arguments.items()), len(arguments)))
    required = tuple(name for name, key in arguments.items() if key in action.required)
    name, description = _tool_name(action, rng), _describe(action, rng)
    if not arguments and rng.random() < 0.5:
        return Invented(ToolSpec(name, description, None), action)
    properties = {name: _property(key, name not in required, rng) for name, key in arguments.items()}
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = list(required)
    return Invented(ToolSpec(name, description, schema), action, arguments, required)


def _spoken(value: Value) -> str:
    if isinstance(value, list):
        words = [str(item) for item in value]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
    return str(value)


def phrase(key: str, value: Value, rng: Random) -> str:
    """The words that carry `value` in a request."""
    kind = FIELDS[key]
    if isinstance(value, bool):
        return rng.choice(kind.phrases if value else kind.negative)
    return rng.choice(kind.phrases).format(_spoken(value))


_WRAPPINGS = (
    "{}", "{}", "{}.", "{}?", "Please {}.", "Can you {}?", "Could you {}?", "{}, please.", "{} please", "I want you to {}.",
    "Hey, {}!", "Would you {} for me?", "{}. Thanks!", "I need help: {}.", "Quick, {}.", "My next task: {}.", "Go ahead and {}.",
    "Hello! {}", "Let's {}.", "ok now {}", "It would be great if you could {}.",
)  # fmt: skip


def need(tool: Invented, rng: Random) -> Need:
    """A request for `tool`: all required arguments said, optional ones about half the time."""
    chosen = [name for name in tool.arguments if name in tool.required or rng.random() < 0.5]
    values = {name: FIELDS[tool.arguments[name]].make(rng) for name in chosen}
    said = {name: phrase(tool.arguments[name], value, rng) for name, value in values.items()}
    order = list(said.values())
    if rng.random() < 0.3:
        rng.shuffle(order)
    core = " ".join([rng.choice(tool.action.phrases), *order])
    if rng.random() < 0.08 and order:
        core = f"{order[0]}, {' '.join([core.split(' ' + order[0])[0], *order[1:]])}"
    question = core.split(" ")[0] in ("what", "how", "is", "who", "I", "what's")
    text = (
        rng.choice(("{}", "{}?", "{}, please?", "Hi, {}?", "Tell me: {}?"))
        if question
        else rng.choice(_WRAPPINGS)
    )
    text = text.format(core)
    if rng.random() < 0.75:
        text = text[:1].upper() + text[1:]
    return Need(tool, text, values, said)
