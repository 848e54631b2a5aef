"""Rows that are trained, on histories only: what they learn from, how, and the vectors that they end with. Needs torch."""
