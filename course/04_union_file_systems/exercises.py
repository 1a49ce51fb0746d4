# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04 Union file systems: exercises

# %%
import labkit
from labkit import answer, check, hint, progress, reset, scene, solution, variant

lab = labkit.Lab()
