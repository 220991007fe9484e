//! What a rendering must say, on small instances.
