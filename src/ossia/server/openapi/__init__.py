"""Our own OpenAPI document: every route of the server, what it accepts and what it returns."""
