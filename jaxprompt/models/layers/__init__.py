"""The layers that models are made of; no family is named here."""
