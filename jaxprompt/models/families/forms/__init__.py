"""The forms of models in files, which several families share: settings and names."""
