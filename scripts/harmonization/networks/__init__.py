"""Networks: `networks/x.py` is network x, and its keyword-only arguments are its settings."""
