"""What any benchmark is run with: its program, processes of its own, stand-ins of the models, and its results."""
