"""Serving files for an exported model, and the proof that the server gives the model's answers."""
