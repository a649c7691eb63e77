"""Networks: `networks/x.py` holds network x, whose keyword-only arguments are its settings."""
