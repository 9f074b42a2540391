"""`make bench`: figures against a bare baseline and against what else one could take, all in one run."""
