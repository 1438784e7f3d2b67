"""Runs of `edgepose run` over several sources: their names and files, shards, and one engine for all."""
