"""Rewrite a store so that patches of it are read fast: a copy, checked, beside the original."""
