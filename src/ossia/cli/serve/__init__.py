"""``ossia serve``: the HTTP server."""
