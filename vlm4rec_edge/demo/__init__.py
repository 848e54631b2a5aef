"""Demo: a small shop in pictures of our own, and a report of what the models made of it."""
