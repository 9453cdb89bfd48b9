"""``ossia keys``: who may use the server."""
