"""A small page to talk with the model: plain HTML, CSS and JavaScript, no build step."""
