"""What Tend says and where: templates, sequence files, facilities, links, places."""
