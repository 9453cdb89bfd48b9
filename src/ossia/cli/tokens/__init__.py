"""``ossia tokens``: how vocabularies cut a text."""
