"""What every room uses: errors, files, words, processes, plug-ins and draws of numbers."""
