"""Rivals that are no networks, one a file; they fit and apply whole images in their own way."""
