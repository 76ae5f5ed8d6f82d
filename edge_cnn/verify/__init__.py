"""Host against device: devices, parity, tolerances, latency; numpy and a light runtime."""
