"""Other engines beside Ossia: their servers over HTTP, results, and what is drawn of them."""
