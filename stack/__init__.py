"""`tend up`: starts the parts of Tend on one machine as child processes and keeps them running."""
