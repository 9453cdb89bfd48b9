"""How an answer is steered while it is sampled: what is asked of it, its grammar, and "answer now"."""
