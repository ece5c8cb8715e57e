"""The report of a run: one Markdown page and one self-contained HTML page, made from the stages' files."""
