"""Names for what a server makes: responses, messages, calls."""

import secrets


def new_id(prefix: str) -> str:
    """A name nobody else has: `prefix`, an underscore, and 48 hexadecimal digits."""
    return f"{prefix}_{secrets.token_hex(24)}"
