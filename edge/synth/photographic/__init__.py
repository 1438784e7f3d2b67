"""Version 2 of the drawn people: the same bodies among textures, clutter, furniture and crowds, as photographs have.

Textures have the power spectrum of photographs, half of the people and more are cut by the frame or hidden in part.
"""
