"""The host that runs the flow: its file systems, memory, processors, network interfaces and directories."""
