"""Demo: pictures of our own, a small shop of them, and a report of what the models made of it."""
