"""What is made for people to read: pages, cards, names of methods."""
