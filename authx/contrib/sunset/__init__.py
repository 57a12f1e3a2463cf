"""An older authentication scheme of the project, accepted until a date."""
