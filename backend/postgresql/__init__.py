"""PostgreSQL for processes that somebody waits for; Django finds it by its ENGINE."""
