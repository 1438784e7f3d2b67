"""Distillation methods: knowledge token, features, new head, deep supervision."""
