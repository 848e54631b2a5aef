"""Models: the registry, their manifests, and where their files lie on this machine."""
