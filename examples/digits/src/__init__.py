"""Handwritten digits: models, data, training and evaluation."""
