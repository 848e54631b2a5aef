"""The vision encoder outside of llama.cpp: an ONNX graph, made from the projector's GGUF file, with the same embeddings."""
