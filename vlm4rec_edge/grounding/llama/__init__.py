"""llama.cpp at work on photos: model and projector, the engine that decodes many captions at once, and what it needs."""
