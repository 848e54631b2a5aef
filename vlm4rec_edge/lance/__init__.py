"""A LanceDB table as an index: written in one commit, read at one version of it, filtered and searched by LanceDB."""
