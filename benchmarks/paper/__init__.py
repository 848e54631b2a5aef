"""What only the paper's table needs: fusions that are trained, on histories alone. Needs torch; no shop needs it."""
