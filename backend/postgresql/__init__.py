"""The PostgreSQL backend of web processes; Django finds it by its ENGINE."""
