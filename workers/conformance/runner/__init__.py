"""A scripted orchestrator that drives any worker executable through the rules of protocol/SPEC.md.

cli.py reads the command line and runs the rules side by side; rules/ holds them, by chapter; a rule gets a
Trial (trial.py): a folder, orchestrators (orchestrator.py) and worker processes (process.py) of its own.
frames.py judges each frame that a worker sends; report.py prints what came out.
"""
