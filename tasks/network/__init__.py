"""What is seen over the network: certificates, listening sockets, firewall rules, firing alerts."""
