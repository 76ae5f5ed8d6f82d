"""Values, protocols and file formats shared by host and device; numpy alone."""
