"""The command line: one lazy import per command, messages in English and Korean.

It reads agent events and nothing below them; it does not know tokens, tensors or Harmony's markers.
"""
