"""Learning from purchases: vectors of what is bought together, beside those of what reads alike."""
