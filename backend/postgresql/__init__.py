"""The PostgreSQL backend of this project; Django finds it by its ENGINE."""
