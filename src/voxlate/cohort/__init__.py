"""From what lies in folders to a table of cases."""
