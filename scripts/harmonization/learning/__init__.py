"""The machinery that fits and applies models; it names no network."""
