"""How the result is measured: hand-written prompts, held-out templates, perplexity."""
