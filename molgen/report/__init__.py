"""Pages that people look at: evaluation reports, galleries and comparisons as single HTML files."""
