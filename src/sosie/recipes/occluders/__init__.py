"""Things to lay over a face whose truth is known to the pixel: built, cut out or drawn."""
