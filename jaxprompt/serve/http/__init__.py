"""The HTTP of a server: its routes, requests, answers and page."""
