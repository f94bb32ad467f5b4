"""Demo pages at scale: many models in one process, many visits, and what a click costs beside the API."""
