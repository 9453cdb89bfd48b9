"""``ossia launch``: other programs, set up for this computer's model and started."""
