"""Distillation methods beyond plain losses: knowledge token, features, fresh head, deep supervision."""
