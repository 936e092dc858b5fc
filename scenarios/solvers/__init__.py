"""Solvers behind the predictions: pure functions of numpy arrays, one module a model."""
