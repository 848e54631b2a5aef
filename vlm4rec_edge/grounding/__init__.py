"""Grounding: a vision-language model looks at each photo and says in words what it shows."""
