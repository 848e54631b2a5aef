"""Photos that a catalog names by web address, brought into a folder: only where that is asked for."""
