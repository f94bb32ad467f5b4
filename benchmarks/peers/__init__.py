"""Small servers of the peers, one file each, all over the same model folder; `catalog` says how each is run.

Each file runs in an environment of its own (`benchmarks.environments`) as `python -m benchmarks.peers.NAME`, with
MODEL_FOLDER and PORT in its environment variables. Nothing here imports Tidegate.
"""
