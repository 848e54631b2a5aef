"""Demo: a small shop in pictures of our own, and a report of what the models made of it."""

# What lies in the folder of a demo.
INDEX, REPORT = "shop.index", "report.html"
