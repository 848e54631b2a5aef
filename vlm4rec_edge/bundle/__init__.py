"""Bundle: an index as one read-only folder or zip file, for a device that only recommends."""
