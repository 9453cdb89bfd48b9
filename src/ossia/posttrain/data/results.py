"""What invented tools answer, and how the model tells it to the user."""

import json
from random import Random

from ossia.posttrain.data.sums import Sum
from ossia.posttrain.data.toolbox import Need, city, invented_name, person

_CONDITIONS = ("sunny", "cloudy", "light rain", "snow", "windy", "fog", "clear")
_FAILURES = (
    "error: not found",
    "error: timeout",
    "Error: permission denied",
    "error: no connection",
    '{"error": "not available"}',
    "error: invalid value",
    "failed: service is down",
    "error: nothing found",
    "error: no such entry",
)


def result_of(item: Need, rng: Random) -> tuple[str, str, bool]:
    """What the tool answers, how it is told to the user, and whether it failed."""
    if rng.random() < 0.1:
        failure = rng.choice(_FAILURES)
        reason = failure.split(":", 1)[1].strip(' "}')
        told = rng.choice(
            (
                f"Sorry, that did not work: {reason}.",
                f"The tool reported an error: {reason}.",
                f"I could not do that. It failed with: {reason}.",
            )
        )
        return failure, told, True
    result, told = _SUCCESS[rng.choice(item.tool.action.results)](item, rng)
    return result, told, False


def _ok(item: Need, rng: Random) -> tuple[str, str]:
    reference = f"{rng.choice('ABCDEFGH')}{rng.randint(100, 9999)}"
    said = next((str(value) for value in item.values.values() if isinstance(value, str)), "")
    about = f" ({said})" if said and rng.random() < 0.5 else ""
    return rng.choice(
        (
            ("ok", f"Done{about}."),
            ("done", f"All done{about}."),
            ('{"status": "ok"}', f"That worked{about}."),
            ('{"success": true}', f"It is done{about}."),
            (f'{{"status": "ok", "id": "{reference}"}}', f"Done. The reference is {reference}."),
            (f"Created with number {reference}", f"It has been created with the number {reference}."),
            ("true", f"Done{about}."),
            ("", f"Done{about}."),
        )
    )


def _weather(item: Need, rng: Random) -> tuple[str, str]:
    degrees, sky = rng.randint(-12, 38), rng.choice(_CONDITIONS)
    where = next((str(v) for k, v in item.values.items() if item.tool.arguments[k] == "city"), "there")
    where = where if where == "there" else f"in {where}"
    return rng.choice(
        (
            (
                f'{{"temperature": {degrees}, "conditions": "{sky}"}}',
                f"It is {degrees} degrees {where}, {sky}.",
            ),
            (f"{degrees} degrees, {sky}", f"Right now it is {degrees} degrees and {sky} {where}."),
            (
                f'{{"temp": {degrees}, "sky": "{sky}", "wind": {degrees + 14}}}',
                f"{degrees} degrees, {sky}, wind {degrees + 14}.",
            ),
            (f"{sky}", f"The weather {where}: {sky}."),
        )
    )


def _found(item: Need, rng: Random) -> tuple[str, str]:
    names = [rng.choice((invented_name, city, person))(rng) for _ in range(rng.randint(1, 3))]
    price = rng.randint(9, 900)
    listed = names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
    return rng.choice(
        (
            (json.dumps(names), f"I found {listed}."),
            (json.dumps({"results": names}), f"Here is what I found: {listed}."),
            ("\n".join(names), f"The results are {listed}."),
            (json.dumps({"name": names[0], "price": price}), f"I found {names[0]} for {price}."),
            (
                json.dumps([{"name": name} for name in names]),
                f"There are {len(names)} results: {listed}."
                if len(names) > 1
                else f"There is one: {listed}.",
            ),
        )
    )


def _status(item: Need, rng: Random) -> tuple[str, str]:
    state = rng.choice(
        (
            "shipped",
            "pending",
            "delivered",
            "cancelled",
            "running",
            "healthy",
            "on the way",
            "waiting",
            "overloaded",
        )
    )
    return rng.choice(
        (
            (state, f"The status is: {state}."),
            (f'{{"status": "{state}"}}', f"It is {state}."),
            (f"Status: {state}", f"Its status is {state}."),
        )
    )


def _number(item: Need, rng: Random) -> tuple[str, str]:
    value = rng.choice((rng.randint(0, 5000), round(rng.uniform(1, 900), 2)))
    return rng.choice(
        (
            (str(value), f"It is {value}."),
            (f'{{"value": {value}}}', f"The value is {value}."),
            (f"{value}", f"The result is {value}."),
            (f'{{"result": {value}}}', f"The tool says {value}."),
        )
    )


def _text(item: Need, rng: Random) -> tuple[str, str]:
    words = rng.choice(
        (
            "Meeting moved to Thursday.",
            "Turn left at the church and go straight on.",
            "The key is under the mat.",
            "Version 2 is ready.",
            "Please bring warm clothes.",
            "All rooms are booked.",
            "Take the second road on the right.",
            "It means a small round stone.",
        )
    )
    mark = invented_name(rng)
    return rng.choice(
        (
            (words, f"It says: {words}"),
            (words, words),
            (f'{{"text": "{words}"}}', f"Here it is: {words}"),
            (f"{mark}: {words}", f"{mark}: {words}"),
        )
    )


def _contact(item: Need, rng: Random) -> tuple[str, str]:
    phone = "".join(rng.choice("0123456789") for _ in range(7))
    name = next((str(v) for v in item.values.values()), "The contact")
    return rng.choice(
        (
            (f'{{"phone": "{phone}"}}', f"{name}: {phone}."),
            (phone, f"The number is {phone}."),
        )
    )


def _clock(item: Need, rng: Random) -> tuple[str, str]:
    now = f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"
    return rng.choice(((now, f"It is {now}."), (f'{{"time": "{now}"}}', f"The time is {now}.")))


_SUCCESS = {
    "ok": _ok,
    "weather": _weather,
    "found": _found,
    "status": _status,
    "count": _number,
    "amount": _number,
    "text": _text,
    "contact": _contact,
    "clock": _clock,
}


def tell_sum(item: Sum, rng: Random) -> str:
    result = item.result
    if len(result) > 18 and "." in result:
        result = result[:8]
        return rng.choice((f"It is about {result}.", f"That is roughly {result}."))
    return rng.choice(
        (
            f"{item.words} is {result}.",
            f"The answer is {result}.",
            f"It is {result}.",
            f"That is {result}.",
            f"The result is {result}.",
            f"{item.expression} = {result}",
            f"{result}",
            f"That makes {result}.",
            f"**{result}**",
            f"You get {result}.",
        )
    )
