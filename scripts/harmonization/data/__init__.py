"""Scans made fit for use: BIDS, download, preprocessing, validation."""
