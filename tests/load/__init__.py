"""How many requests the cluster answers, and what each of its parts spends on them: `make load`."""
