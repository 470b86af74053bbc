"""Text for people: tables, Markdown, HTML, a progress bar."""
