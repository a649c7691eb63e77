"""From predictions to the page: scores, tables, figures."""
