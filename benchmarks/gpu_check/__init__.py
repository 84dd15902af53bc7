"""``make gpu-check``: what a GPU has to show before it is trusted with a long run, in a few minutes, a JSON line each.

One module per kind of check; ``__main__`` runs them in order. On a machine without a GPU the checks run that apply.
"""
