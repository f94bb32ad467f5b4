"""Labels: what people are asked about, what they answer, and what becomes of it.

`relabel` is the queue and its states; `slots`, `selection` and `random_stream` put texts on it; `exchange` takes it to
other tools and back; `labelled` and `worth` tell the true accuracy. Before: `monitoring.writer`, `monitoring.alerts`;
after: training.
"""
