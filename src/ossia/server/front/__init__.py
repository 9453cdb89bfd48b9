"""What stands between the network and the service: connections, the gate, health, the host."""
