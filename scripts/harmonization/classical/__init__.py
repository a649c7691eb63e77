"""Rivals that are not networks, one per file; each works on whole images in its own way."""
