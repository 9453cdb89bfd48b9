"""What the adapter learns from: invented conversations, and the base's own words."""
