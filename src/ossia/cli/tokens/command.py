"""``ossia tokens``: how vocabularies cut a text, and what a text costs in each language."""

import json
import sys

import click

from ossia.cli.answer.prompt_text import checked, decode
from ossia.cli.app import App, command, option
from ossia.cli.messages import M
from ossia.cli.tokens.comparison import compare
from ossia.cli.tokens.languages import as_dict, measure, print_languages
from ossia.cli.tokens.view import console_for_output, print_comparison
from ossia.cli.tokens.vocabularies import HARMONY, open_vocabularies
from ossia.cli.tokens.words import W
from ossia.errors import InputError


@command("tokens", help=W.HELP_TOKENS)
@click.argument("text", metavar="[TEXT|-]", required=False)
@option("--compare", "names", metavar="NAME[,…]", default=HARMONY, help=W.OPT_COMPARE)
@option("--languages", is_flag=True, help=W.OPT_LANGUAGES)
@option("--fetch", is_flag=True, help=W.OPT_FETCH)
@option("--json", "as_json", is_flag=True, help=M.OPT_JSON)
@click.pass_obj
def tokens_command(
    app: App, text: str | None, names: str, languages: bool, fetch: bool, as_json: bool
) -> None:
    if languages and text is not None:
        raise InputError(app.say(W.NOT_BOTH), value=text, remedy=app.say(W.LEAVE_OUT))
    wanted = "" if languages else _read(text, app)
    cutters = open_vocabularies(names, app, fetch=fetch)
    if languages:
        rows = measure(cutters)
        if as_json:
            _print_json(as_dict(rows, cutters))
        else:
            print_languages(rows, cutters, console_for_output(), app)
        return
    comparison = compare(wanted, cutters)
    if as_json:
        _print_json(comparison.as_dict())
    else:
        print_comparison(comparison, app)


def _read(text: str | None, app: App) -> str:
    """The text, exactly; raises InputError where there is none or it is not UTF-8."""
    if text == "-":
        if sys.stdin.isatty():
            click.echo(app.say(W.READING), err=True)
        text = decode(sys.stdin.buffer.read(), app)
    if not text:
        raise InputError(app.say(W.NO_TEXT), value=text, remedy=app.say(W.GIVE_TEXT))
    return checked(text, app)


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=1))
