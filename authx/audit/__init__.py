"""What happened: security events as rows, as log records and as mails."""
