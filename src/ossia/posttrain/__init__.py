"""Training: pocket's adapter, its data and its evaluation. Needs the `train` extra (torch) except where
said.
"""
