"""The Django project: wires authx and tasks to servers, and nothing else."""
