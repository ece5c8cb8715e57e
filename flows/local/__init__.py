"""Starting, watching and stopping the servers of one machine (`make servers`)."""
