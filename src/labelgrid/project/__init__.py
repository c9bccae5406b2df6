"""What is on a project's disk: settings, records, requests, labels, suppliers, prices."""
